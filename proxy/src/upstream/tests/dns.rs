//! A DNS server that says what a test wants.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::upstream::resolve::tuned;

#[derive(Clone)]
pub enum Say {
    /// With a time to live of zero.
    Addresses(Vec<IpAddr>),
    NoSuchName,
    Nothing,
}

pub struct Dns {
    address: SocketAddr,
    says: Arc<Mutex<HashMap<String, Say>>>,
    /// Questions for IPv4 addresses so far.
    asked: watch::Receiver<HashMap<String, u64>>,
    _task: AbortOnDropHandle<()>,
}

impl Dns {
    pub async fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let says = Arc::<Mutex<HashMap<String, Say>>>::default();
        let (count, asked) = watch::channel(HashMap::new());
        let task = tokio::spawn(serve(socket, says.clone(), count));
        Self { address, says, asked, _task: AbortOnDropHandle::new(task) }
    }

    pub fn say(&self, name: &str, say: Say) {
        self.says.lock().insert(name.to_owned(), say);
    }

    pub fn say_addresses(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.say(name, Say::Addresses(addresses));
    }

    pub fn resolver(&self) -> TokioResolver {
        let mut server = NameServerConfig::udp(self.address.ip());
        server.connections[0].port = self.address.port();
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
        let provider = TokioRuntimeProvider::default();
        tuned(TokioResolver::builder_with_config(config, provider)).unwrap()
    }

    /// Waits until `name` has been asked for twice more.
    pub async fn asked_again(&self, name: &str) {
        let count = |asked: &HashMap<String, u64>| asked.get(name).copied().unwrap_or(0);
        let mut asked = self.asked.clone();
        let enough = count(&asked.borrow()) + 2;
        asked.wait_for(|asked| count(asked) >= enough).await.unwrap();
    }
}

async fn serve(
    socket: UdpSocket,
    says: Arc<Mutex<HashMap<String, Say>>>,
    count: watch::Sender<HashMap<String, u64>>,
) {
    let mut buffer = [0; 4_096];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..length]).unwrap();
        let query = question.queries[0].clone();
        let name = query.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
        if query.query_type() == RecordType::A {
            count.send_modify(|count| *count.entry(name.clone()).or_default() += 1);
        }
        let say = says.lock().get(&name).cloned().unwrap_or(Say::NoSuchName);
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_query(query.clone());
        match say {
            Say::Addresses(addresses) => {
                let data = addresses.into_iter().map(RData::from);
                let fitting = data.filter(|data| data.record_type() == query.query_type());
                answer.add_answers(
                    fitting.map(|data| Record::from_rdata(query.name().clone(), 0, data)),
                );
            }
            Say::NoSuchName => answer.metadata.response_code = ResponseCode::NXDomain,
            Say::Nothing => continue,
        }
        socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
    }
}
