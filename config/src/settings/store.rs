//! Settings of the control plane's database.

use crate::section::section;
use crate::value::StoreUrl;

section! {
    /// The control plane's database.
    pub struct StoreSettings {
        /// None: the SQLite file `tollgate.db` in `data_dir`.
        url: Option<StoreUrl> = None;
    }
}
