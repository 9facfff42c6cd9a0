//! What the tests of the whole system share.

pub mod certificates;
pub mod http;
pub mod postgres;
pub mod redis;
pub mod small_disk;
pub mod tollgate;

pub mod owner;
pub mod upstream;

pub mod billing;
pub mod chance;
pub mod openid;

pub mod raw_http1;
pub mod raw_http2;
