//! Settings of the control plane's database.

use crate::section::section;
use crate::value::StoreUrl;

section! {
    /// The control plane's database.
    pub struct StoreSettings {
        /// A SQLite file, `sqlite:///path`, or a PostgreSQL server that several control planes share,
        /// `postgres://user:password@host/database`. None: the SQLite file `tollgate.db` in
        /// `data_dir`. In user and password, characters such as `/`, `#` and `@` are written as
        /// `%2F`, `%23` and `%40`. `?sslmode=verify-full` has the server prove who it is;
        /// `sslrootcert`, `sslcert`, `sslkey`, `host` (the directory of a Unix socket) and
        /// `application_name` can follow. A pooler between must pool sessions, not transactions.
        url: Option<StoreUrl> = None;
    }
}
