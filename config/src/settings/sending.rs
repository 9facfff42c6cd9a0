//! Settings of what is sent to billing systems.

use std::path::PathBuf;

use crate::section::section;
use crate::value::Moment;

section! {
    /// Usage on its way to billing systems. Which there are is set up over the API; here is where
    /// they may be. Names are resolved, and the addresses checked, at each connection.
    pub struct SendingSettings {
        /// Lets destinations be on this machine.
        allow_loopback: bool = false;
        /// Lets destinations be in the private network around this machine, such as an OpenMeter
        /// or a Lago of one's own.
        allow_private: bool = false;
        /// The directory below which destinations of kind `file` write, each in one of its own. It
        /// must be the same for all control planes that share a database. Without it there are none.
        export_directory: Option<PathBuf> = None;
        /// When the store was last put back to an earlier state, from a backup or by a failover that lost
        /// commits. What the store does not know to be sent of windows that were closed by then is
        /// looked up at destinations, and waits for a decision where that cannot be done. It must be
        /// the same for all control planes that share a database.
        put_back_at: Option<Moment> = None;
    }
}
