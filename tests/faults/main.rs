//! What breaks, and what must happen instead.
