//! What the gateway tells an upstream of a caller: who it is, and by which way it came.

use std::sync::{Arc, Weak};

use tollgate_common::ids::SubscriptionId;

use crate::chain::believed_chain;
use crate::core::Core;
use crate::fields::Fields;
use crate::meter::Admission;
use crate::request::RequestHead;
use crate::serve::Peer;
use crate::snapshot::plan::PlanEntry;

/// The fields that introduce a caller. A connection keeps them for its next call, which is most often
/// of the same caller, on the same plan.
#[derive(Default)]
pub struct Introduction {
    fields: Fields,
    host: String,
    chain: Vec<u8>,
    subscription: Option<SubscriptionId>,
    /// Weak, so that a plan of the past goes. Its place in memory is not used again while it is here.
    plan: Weak<PlanEntry>,
}

impl Introduction {
    /// The fields for a call of `peer`, whose connection this belongs to.
    pub fn of(
        &mut self,
        core: &Core,
        peer: &Peer,
        head: &RequestHead,
        admission: &Admission,
    ) -> &Fields {
        let chain = believed_chain(&core.gateway.settings, peer.address.ip(), &head.fields);
        let subscription = Some(admission.subscriber.id());
        let is_known = self.subscription == subscription
            && self.plan.as_ptr() == Arc::as_ptr(&admission.plan)
            && self.host == head.host
            && self.chain == chain;
        if !is_known {
            self.subscription = subscription;
            self.plan = Arc::downgrade(&admission.plan);
            self.host.clone_from(&head.host);
            self.chain = chain;
            self.write(peer, admission);
        }
        &self.fields
    }

    fn write(&mut self, peer: &Peer, admission: &Admission) {
        self.fields.clear();
        self.push_forwarded(peer);
        let Admission { subscriber, plan, .. } = admission;
        let fields = &mut self.fields;
        fields.push_own(b"X-Tollgate-Product", plan.product.rules.name.as_bytes());
        fields.push_own(b"X-Tollgate-Plan", plan.field_name.as_bytes());
        fields.push_id(b"X-Tollgate-Consumer", subscriber.consumer().0);
        fields.push_id(b"X-Tollgate-Subscription", subscriber.id().0);
    }

    /// `X-Forwarded-*` and `Forwarded` (RFC 7239), written anew but for what is believed.
    fn push_forwarded(&mut self, peer: &Peer) {
        let Self { fields, host, chain, .. } = self;
        let proto: &[u8] = if peer.secure { b"https" } else { b"http" };
        fields.push_written(b"X-Forwarded-For", |text| {
            text.extend_from_slice(chain);
            if !chain.is_empty() {
                text.extend_from_slice(b", ");
            }
            text.extend_from_slice(peer.text.as_bytes());
        });
        fields.push_own(b"X-Forwarded-Proto", proto);
        fields.push_own(b"X-Forwarded-Host", host.as_bytes());
        fields.push_written(b"Forwarded", |text| {
            text.extend_from_slice(b"for=");
            text.extend_from_slice(peer.forwarded_for.as_bytes());
            text.extend_from_slice(b";host=\"");
            text.extend_from_slice(host.as_bytes());
            text.extend_from_slice(b"\";proto=");
            text.extend_from_slice(proto);
        });
    }
}
