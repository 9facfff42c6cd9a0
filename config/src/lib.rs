//! Settings, from one file and the environment.
