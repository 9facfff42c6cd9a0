//! From a file and variables to settings.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::string::FromUtf8Error;

use crate::mistake::{Mistake, Mistakes, Place};
use crate::rules::{self, Role};
use crate::section::{Field, Reader, unknown};
use crate::settings::Settings;
use crate::tree::{self, Content, Key, Node};

const PREFIX: &str = "TOLLGATE_";

/// A file of settings is a few KiB; what is larger is another file.
const FILE_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The message is whole: a source would be shown once more behind it.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("{} is larger than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error(transparent)]
    Mistakes(#[from] Mistakes),
}

impl Settings {
    /// Reads the file, if there is one, and then the variables, which have the last word.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, LoadError> {
        let Some(path) = file else { return Ok(Self::parse(None, environment)?) };
        let text = String::from_utf8(read(path)?).map_err(|error| not_text(path, &error))?;
        Ok(Self::parse(Some((path, &text)), environment)?)
    }

    /// As [`Settings::load`], with the file's name and text at hand.
    pub fn parse(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut root = match file {
            Some((_, text)) => tree::parse(text, &mut mistakes),
            None => Node::empty(),
        };
        overlay(&mut root, environment, &mut mistakes);
        let entries = [(Key { name: String::new(), place: Place::Missing }, root)];
        let settings = Settings::read(&mut Reader::above(&entries, &mut mistakes), "", None)
            .expect("settings that are a section are read");
        rules::check(&settings, &entries[0].1, &mut mistakes);
        if mistakes.is_empty() {
            return Ok(settings);
        }
        Err(Mistakes::new(file.map(|(path, _)| path.to_owned()), mistakes))
    }

    /// Says what a role cannot start without.
    pub fn check_role(&self, role: Role) -> Result<(), Mistakes> {
        match rules::check_role(self, role) {
            mistakes if mistakes.is_empty() => Ok(()),
            mistakes => Err(Mistakes::new(None, mistakes)),
        }
    }
}

/// Reads no more than shows that a file is too large: a pipe or a device does not say its length.
fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.to_owned(), error };
    let file = File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(LoadError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Names the first byte that is not text.
fn not_text(path: &Path, error: &FromUtf8Error) -> Mistakes {
    let text = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]);
    let line_start = text.rfind('\n').map_or(0, |end| end + 1);
    let (line, column) = (text.matches('\n').count() + 1, text[line_start..].chars().count() + 1);
    let message = "not UTF-8, which settings are written in".to_owned();
    let mistake = Mistake { place: Place::File { line, column }, setting: String::new(), message };
    Mistakes::new(Some(path.to_owned()), vec![mistake])
}

/// The variable that overrides a setting.
pub(crate) fn variable(setting: &str) -> String {
    format!("{PREFIX}{}", setting.replace('.', "__").to_ascii_uppercase())
}

/// Puts each `TOLLGATE_<SECTION>__<KEY>` in its place. An empty one is as good as none.
fn overlay(
    root: &mut Node,
    environment: impl IntoIterator<Item = (String, String)>,
    mistakes: &mut Vec<Mistake>,
) {
    let settings: Vec<String> = crate::reference::entries()
        .into_iter()
        .filter(|e| e.expected.is_some())
        .map(|e| e.path)
        .collect();
    let known: Vec<&str> = settings.iter().map(String::as_str).collect();
    for (name, text) in environment {
        let Some(key) = name.strip_prefix(PREFIX) else { continue };
        let setting = key.to_ascii_lowercase().replace("__", ".");
        let place = Place::Environment(name.clone());
        if known.contains(&setting.as_str()) {
            if text.contains(char::REPLACEMENT_CHARACTER) {
                let message = "must be Unicode".to_owned();
                mistakes.push(Mistake { place, setting, message });
            } else if !text.is_empty() {
                let path: Vec<&str> = setting.split('.').collect();
                root.set(&path, &place, &text);
            }
        } else if is_of_section(&setting, &known) || !is_kubernetes_service(key) {
            let message = unknown(&setting, &known);
            mistakes.push(Mistake { place, setting, message });
        }
    }
    if matches!(root.content, Content::Scalar(_) | Content::List(_)) {
        let message = "must be settings of the form `name: value`".to_owned();
        let place = root.place.clone();
        mistakes.push(Mistake { place, setting: String::new(), message });
        root.content = Content::Empty;
    }
}

/// Whether a name that is no setting stands in a section of settings.
fn is_of_section(setting: &str, known: &[&str]) -> bool {
    let section = |setting: &str| setting.split_once('.').map(|(section, _)| section.to_owned());
    let of = section(setting);
    of.is_some() && known.iter().any(|known| section(known) == of)
}

/// Kubernetes gives each container the addresses of services: for one that is called `tollgate`
/// or `tollgate-admin`, in variables that begin like settings.
fn is_kubernetes_service(key: &str) -> bool {
    let last = |suffix| key == suffix || key.ends_with(&format!("_{suffix}"));
    let numbered = |(_, rest): (&str, &str)| rest.starts_with(|char: char| char.is_ascii_digit());
    last("SERVICE_HOST")
        || last("PORT")
        || key.contains("SERVICE_PORT")
        || key.split_once("PORT_").is_some_and(numbered)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use crate::ByteSize;

    fn parse(text: &str) -> Result<Settings, Mistakes> {
        Settings::parse(Some((Path::new("t.yaml"), text)), [])
    }

    fn mistakes(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    fn variables(pairs: &[(&str, &str)]) -> Result<Settings, Mistakes> {
        let owned = pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        Settings::parse(None, owned)
    }

    #[test]
    fn nothing_is_needed() {
        let settings = parse("").unwrap();

        assert_eq!(settings.proxy.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:9090");
        assert_eq!(settings.metrics.listen.to_string(), "127.0.0.1:9091");
        assert!(!settings.proxy.allow_loopback_upstreams);
    }

    const PROVIDER: &str = concat!(
        "openid:\n  issuer: https://id.example\n  client_id: tollgate\n",
        "  redirect_url: https://a.example/dashboard/sign-in/openid/callback\n",
        "  roles:\n    auditor: [staff]\n",
    );

    #[test]
    fn a_provider_is_known_whole() {
        let settings = parse(PROVIDER).unwrap();

        assert_eq!(settings.openid.role_claim, "groups");
        assert_eq!(settings.openid.roles.auditor, ["staff"]);
        for (from, to, mistake) in [
            ("  issuer: https://id.example\n", "", "openid.issuer: must be given"),
            ("issuer: https", "issuer: http", "openid.issuer: must be https"),
            ("  client_id: tollgate\n", "", "openid.client_id: must be given"),
            ("https://a.ex", "http://a.ex", "openid.redirect_url: must be https"),
            ("/callback", "", "openid.redirect_url: must have the path /dashboard/sign-in/"),
            ("/callback", "/callback?a=b", "openid.redirect_url: must have the path"),
            ("auditor: [staff]", "auditor: []", "openid.roles: must give somebody a role"),
            ("tollgate", "\"a\\nb\"", "is not a text"),
        ] {
            let found = mistakes(&PROVIDER.replacen(from, to, 1));
            assert!(found.contains(mistake), "{found}");
        }
        let local = PROVIDER.replace("https://id.example", "http://127.0.0.1:8180");
        assert!(parse(&local).is_ok());
    }

    #[test]
    fn what_counts_only_with_a_provider_is_named_without_one() {
        for (setting, name) in [
            ("client_secret: a", "client_secret"),
            ("scopes: [a]", "scopes"),
            ("role_claim: a", "role_claim"),
            ("roles: {auditor: [a]}", "roles"),
            ("client_id: a, client_secret: b, scopes: [c]", "client_id, client_secret, scopes"),
        ] {
            let found = mistakes(&format!("openid: {{{setting}}}\n"));

            let rule = "openid.issuer: must be given, so that the rest of openid counts";
            assert_eq!(found, format!("t.yaml:1:1: {rule}: {name}"));
        }
        assert!(parse("openid: {scopes: [], role_claim: groups, roles: {auditor: []}}\n").is_ok());
    }

    #[test]
    fn sections_may_be_left_empty_or_commented_out() {
        let settings = parse("proxy:\n  # listen: nowhere\n\nadmin: {}\nlog: ~\n").unwrap();

        assert_eq!(settings.proxy.listen.port(), 8080);
    }

    #[test]
    fn the_file_is_read() {
        let settings = parse(concat!(
            "data_dir: /tmp/t\n",
            "proxy:\n",
            "  listen: '[::1]:0'\n",
            "  threads: 2\n",
            "  tls: {certificate: c.pem, private_key: k.pem}\n",
            "  trusted_proxies: [10.0.0.0/8, 192.168.1.1]\n",
            "  limits:\n",
            "    header_timeout: 500ms\n",
            "    body_bytes_max: 2GiB\n",
            "journal: {sync: always}\n",
        ))
        .unwrap();

        assert_eq!(settings.journal_dir(), Path::new("/tmp/t/journal"));
        assert_eq!(settings.proxy.listen.to_string(), "[::1]:0");
        assert_eq!(settings.proxy.threads.unwrap().get(), 2);
        assert_eq!(settings.proxy.tls.unwrap().private_key, Path::new("k.pem"));
        assert_eq!(settings.proxy.trusted_proxies[1].to_string(), "192.168.1.1/32");
        assert_eq!(settings.proxy.limits.header_timeout, Duration::from_millis(500));
        assert_eq!(settings.proxy.limits.body_bytes_max, ByteSize::gib(2));
        assert_eq!(settings.journal.sync, crate::settings::JournalSync::Always);
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let text = concat!(
            "data_dir: [a, b]\n",
            "proxy:\n",
            "  listen: localhost\n",
            "  lisen: 127.0.0.1:1\n",
            "  threads: 0\n",
            "  allow_loopback_upstreams: yes\n",
            "  trusted_proxies: [10.0.0.0/8, 10.0.0.0/40]\n",
            "  tls:\n",
            "    certificate: c.pem\n",
            "  limits:\n",
            "    header_bytes: 32\n",
            "    header_timeout: 1ms\n",
            "    header_timeout: 2s\n",
            "admin: 127.0.0.1:9090\n",
            "counters:\n",
            "  redis_url: redis://:secret@127.0.0.1:x\n",
            "store:\n",
            "  url: postgres://user:secret@127.0.0.1\n",
            "metrics: *elsewhere\n",
            "journal:\n",
            "  sync: sometimes\n",
            "colour: blue\n",
        );

        let all = mistakes(text);

        assert!(!all.contains("secret"));
        assert_snapshot!(all, @r"
        t.yaml:1:11: data_dir: must be a path, not a list
        t.yaml:3:11: proxy.listen: `localhost` is not an address and port such as 127.0.0.1:8080
        t.yaml:4:3: proxy.lisen: there is no such setting; did you mean `listen`?
        t.yaml:5:12: proxy.threads: `0` is not a whole number above zero
        t.yaml:6:29: proxy.allow_loopback_upstreams: `yes` is not true or false
        t.yaml:7:33: proxy.trusted_proxies: `10.0.0.0/40` is not an address range such as 10.0.0.0/8
        t.yaml:8:3: proxy.tls.private_key: must be given
        t.yaml:11:19: proxy.limits.header_bytes: `32` is not a size such as 512B, 32KiB, 64MiB or 8GiB
        t.yaml:12:21: proxy.limits.header_timeout: must be from 100ms to 5m
        t.yaml:13:5: `header_timeout` is set twice
        t.yaml:14:8: admin: must be a section of settings
        t.yaml:16:14: counters.redis_url: a port must be from 1 to 65535
        t.yaml:18:8: store.url: must name one database, as in postgres://user@host/database
        t.yaml:19:10: aliases are not read here: write the value out
        t.yaml:21:9: journal.sync: `sometimes` is not always or interval
        t.yaml:22:1: colour: there is no such setting
        ");
    }

    #[test]
    fn a_name_forges_no_line_and_steers_no_terminal() {
        let all = mistakes(concat!(
            "\"a\\nb.yaml:9:9: proxy.listen\": 1\n",
            "\"\\e[2J\": 2\n",
            "\"\\e[2J\": 3\n",
        ));
        let variable = variables(&[("TOLLGATE_A\nB", "1")]).unwrap_err();

        assert_snapshot!(all, @r"
        t.yaml:1:1: a\nb.yaml:9:9: proxy.listen: there is no such setting
        t.yaml:2:1: \u{1b}[2J: there is no such setting
        t.yaml:3:1: `\u{1b}[2J` is set twice
        ");
        assert_snapshot!(variable, @r"TOLLGATE_A\nB: a\nb: there is no such setting");
    }

    #[test]
    fn what_does_not_fit_together_is_named() {
        let all = mistakes(concat!(
            "proxy:\n",
            "  listen: 127.0.0.1:7000\n",
            "  threads: 5000\n",
            "admin:\n",
            "  listen: 0.0.0.0:7000\n",
            "journal: {bytes_max: 1MiB}\n",
        ));

        assert_snapshot!(all, @r"
        t.yaml:3:12: proxy.threads: must be from 1 to 1024
        t.yaml:5:11: admin.listen: is the same address and port as proxy.listen
        t.yaml:6:22: journal.bytes_max: must hold 3 segments
        ");
    }

    #[test]
    fn a_token_that_nobody_could_show_is_named_and_not_told() {
        let (longest, longer) = ("x".repeat(1_024), "x".repeat(1_025));
        let with =
            |token: &str| format!("node_token: {token}\nadmin:\n  bootstrap_token: {token}\n");

        assert!(parse(&with(&longest)).is_ok());
        assert_snapshot!(mistakes(&with(&longer)), @r"
        t.yaml:1:13: node_token: must have at most 1024 characters
        t.yaml:3:20: admin.bootstrap_token: must have at most 1024 characters
        ");
    }

    #[test]
    fn broken_yaml_is_named_with_its_place() {
        assert_snapshot!(mistakes("proxy:\n  listen: [1, 2\nadmin: {}\n"), @"t.yaml:3:6: not YAML: illegal placement of ':' indicator");
        assert_snapshot!(mistakes("- proxy\n- admin\n"), @"t.yaml:1:1: must be settings of the form `name: value`");
        assert_snapshot!(mistakes("data_dir: a\n---\ndata_dir: b\n"), @"t.yaml:2:1: a second document: settings are one document");
    }

    #[test]
    fn what_is_not_text_is_named_with_its_place() {
        let said = |bytes: &[u8]| {
            let error = String::from_utf8(bytes.to_vec()).unwrap_err();
            not_text(Path::new("t.yaml"), &error).to_string()
        };

        assert_snapshot!(said(b"\xff\xfe"), @"t.yaml:1:1: not UTF-8, which settings are written in");
        assert_snapshot!(said(b"proxy:\n  # \xc3\xa4 \xe4\n"), @"t.yaml:2:7: not UTF-8, which settings are written in");
    }

    #[test]
    fn a_variable_has_the_last_word() {
        let file = "proxy:\n  listen: 127.0.0.1:1\n  trusted_proxies: [10.0.0.0/8]\n";
        let environment = [
            ("TOLLGATE_PROXY__LISTEN", "127.0.0.1:2"),
            ("TOLLGATE_PROXY__LIMITS__HEADER_FIELDS", "200"),
            ("TOLLGATE_PROXY__TRUSTED_PROXIES", "10.1.0.0/16, 10.2.0.0/16"),
            ("TOLLGATE_PROXY__TLS__CERTIFICATE", "c"),
            ("TOLLGATE_PROXY__TLS__PRIVATE_KEY", "k"),
            ("TOLLGATE_DATA_DIR", "/data"),
            ("TOLLGATE_LOG__FORMAT", ""),
            ("HOME", "/nowhere"),
        ]
        .map(|(name, text)| (name.to_owned(), text.to_owned()));

        let settings = Settings::parse(Some((Path::new("t.yaml"), file)), environment).unwrap();

        assert_eq!(settings.proxy.listen.port(), 2);
        assert_eq!(settings.proxy.limits.header_fields, 200);
        assert_eq!(settings.proxy.trusted_proxies.len(), 2);
        assert_eq!(settings.proxy.tls.unwrap().certificate, Path::new("c"));
        assert_eq!(settings.data_dir, Path::new("/data"));
    }

    #[test]
    fn mistakes_in_variables_are_named() {
        let all = variables(&[
            ("TOLLGATE_PROXY__LISTEN", "8080"),
            ("TOLLGATE_PROXY__LISTNE", "127.0.0.1:8080"),
            ("TOLLGATE_NODE_TOKEN", "two words"),
            ("TOLLGATE_COUNTERS__REDIS_URL", "redis://:secret@a,b"),
            ("TOLLGATE_METRICS__LISTEN", "127.0.0.1:9090"),
        ])
        .unwrap_err()
        .to_string();

        assert!(!all.contains("secret@") && !all.contains("two words"));
        assert_snapshot!(all, @r"
        TOLLGATE_COUNTERS__REDIS_URL: counters.redis_url: several hosts are for redis-sentinel:// and redis-cluster://
        TOLLGATE_METRICS__LISTEN: metrics.listen: is the same address and port as admin.listen
        TOLLGATE_NODE_TOKEN: node_token: must be a secret of visible ASCII characters without blanks
        TOLLGATE_PROXY__LISTEN: proxy.listen: `8080` is not an address and port such as 127.0.0.1:8080
        TOLLGATE_PROXY__LISTNE: proxy.listne: there is no such setting; did you mean `proxy.listen`?
        ");
    }

    #[test]
    fn what_kubernetes_sets_is_not_ours() {
        let set_by_kubernetes = [
            ("TOLLGATE_SERVICE_HOST", "10.0.0.1"),
            ("TOLLGATE_SERVICE_PORT", "80"),
            ("TOLLGATE_SERVICE_PORT_HTTP", "80"),
            ("TOLLGATE_PORT", "tcp://10.0.0.1:80"),
            ("TOLLGATE_ADMIN_PORT_9090_TCP_ADDR", "10.0.0.1"),
            ("TOLLGATE_A__B_SERVICE_HOST", "10.0.0.1"),
        ];

        assert!(variables(&set_by_kubernetes).is_ok());
        for ours in ["TOLLGATE_PROXY__PORT", "TOLLGATE_PROXY__SERVICE_PORT"] {
            assert!(variables(&[(ours, "80")]).is_err(), "{ours}");
        }
    }

    #[test]
    fn what_is_no_unicode_is_refused() {
        let lossy = String::from_utf8_lossy(b"/var/lib/toll\xffgate");

        let mistakes = variables(&[("TOLLGATE_DATA_DIR", &lossy)]).unwrap_err();

        assert_snapshot!(mistakes, @"TOLLGATE_DATA_DIR: data_dir: must be Unicode");
    }

    #[test]
    fn a_role_names_what_it_cannot_start_without() {
        let settings = parse("").unwrap();

        assert!(settings.check_role(Role::Run).is_ok());
        assert_eq!(settings.check_role(Role::Admin).unwrap_err().len(), 1);
        assert_snapshot!(settings.check_role(Role::Proxy).unwrap_err(), @r"
        node_token: must be given, so that gateways and the control plane know each other
        proxy.admin_url: `tollgate proxy` must know the control plane
        ");
    }

    #[test]
    fn secrets_are_not_in_the_debug_form() {
        let settings = variables(&[
            ("TOLLGATE_NODE_TOKEN", "node-hunter2"),
            ("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", "admin-hunter2"),
        ])
        .unwrap();

        assert!(!format!("{settings:?}").contains("hunter2"));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Settings::load(Some(Path::new("/nowhere/t.yaml")), []).unwrap_err();

        assert!(error.to_string().starts_with("cannot read /nowhere/t.yaml: "));
    }

    #[test]
    fn what_is_wrong_is_said_once() {
        let unreadable = Settings::load(Some(Path::new("/nowhere/t.yaml")), []).unwrap_err();
        let mistaken = Settings::load(None, [("TOLLGATE_A".to_owned(), "1".to_owned())]);

        for error in [unreadable, mistaken.unwrap_err()] {
            assert!(std::error::Error::source(&error).is_none(), "{error}");
        }
    }
}
