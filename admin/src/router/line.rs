//! A line of a table of URLs. Every route of the control plane stands in such a table, and the router is
//! made from the tables alone, so that what is listed is what is served.

use axum::Router;
use axum::http::Method;
use axum::routing::MethodRouter;

pub struct Line<S> {
    pub method: Method,
    pub path: &'static str,
    pub(super) handler: MethodRouter<S>,
}

impl<S> Line<S> {
    pub fn new(method: Method, path: &'static str, handler: MethodRouter<S>) -> Self {
        Self { method, path, handler }
    }
}

macro_rules! lines {
    ($($method:ident $path:expr => $handler:expr,)*) => {
        vec![$($crate::router::line::Line::new(
            axum::http::Method::$method,
            $path,
            axum::routing::on(axum::routing::MethodFilter::$method, $handler),
        )),*]
    };
}

pub(crate) use lines;

/// A table as a service. `below` is where the service will be put, and is taken off every path.
pub fn routed<S: Clone + Send + Sync + 'static>(table: Vec<Line<S>>, below: &str) -> Router<S> {
    table.into_iter().fold(Router::new(), |router, Line { path, handler, .. }| {
        let path = path.strip_prefix(below).expect("a table stands below one path");
        router.route(path, handler)
    })
}
