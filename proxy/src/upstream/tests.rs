mod addresses;
mod connections;
mod dns;
mod http2;
mod names;
mod servers;
