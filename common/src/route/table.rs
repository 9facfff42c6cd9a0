//! Which route a call takes: the control plane checks with it, gateways look up in it.
//!
//! The path decides first, the most specific pattern winning, and among routes of one shape the
//! method: a route that names it comes before one for every method. What a parameter is called
//! decides nothing. A trailing slash is part of the path, and a catch-all takes at least one byte.

use std::collections::HashMap;

use matchit::{InsertError, Router};

use super::Route;

/// Parameters of one pattern. The matcher names them by the letters of the alphabet and panics
/// beyond.
const PARAMETERS_MAX: usize = 25;

/// A product's routes, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    /// For methods that no route names. Values are positions in `routes`.
    every: Router<usize>,
    /// For each method that a route names: its own routes, and those for every method.
    by_method: Vec<(String, Router<usize>)>,
}

/// A route that cannot be used beside the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// Which of the routes it is.
    pub position: usize,
    pub reason: RouteError,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    #[error("is no path pattern: {0}")]
    Pattern(String),
    #[error("has more than {PARAMETERS_MAX} parameters")]
    TooManyParameters,
    #[error("{path} matches the same calls as {other}, for the same method")]
    Same { path: String, other: String },
    #[error("{path} cannot stand beside {other}: some calls match both, and neither comes first")]
    Ambiguous { path: String, other: String },
}

impl RouteTable {
    /// The table of all routes that can be used, and those that cannot, in their order.
    pub fn compile(routes: &[Route]) -> (Self, Vec<Unusable>) {
        let mut building = Building { routes, shapes: Vec::new(), unusable: Vec::new() };
        building.read_shapes();
        let every = building.trie(None);
        let mut by_method: Vec<(String, Router<usize>)> = Vec::new();
        for method in routes.iter().filter_map(|route| route.method.as_deref()) {
            if by_method.iter().all(|(known, _)| known != method) {
                by_method.push((method.to_owned(), building.trie(Some(method))));
            }
        }
        let mut unusable = building.unusable;
        unusable.sort_by_key(|unusable| unusable.position);
        (Self { routes: routes.to_vec(), every, by_method }, unusable)
    }

    /// The route of a call to `path`, which begins below the product.
    pub fn find(&self, method: &str, path: &str) -> Option<&Route> {
        let own = self.by_method.iter().find(|(known, _)| known == method);
        let trie = own.map_or(&self.every, |(_, trie)| trie);
        trie.at(path).ok().and_then(|found| self.routes.get(*found.value))
    }
}

struct Building<'r> {
    routes: &'r [Route],
    /// The shape of each route; None of one that cannot be used.
    shapes: Vec<Option<String>>,
    unusable: Vec<Unusable>,
}

impl Building<'_> {
    fn read_shapes(&mut self) {
        for (position, route) in self.routes.iter().enumerate() {
            let shape = shape(&route.path);
            self.shapes.push(shape.as_ref().ok().cloned());
            if let Err(reason) = shape {
                self.unusable.push(Unusable { position, reason });
            }
        }
    }

    /// What calls of `method` look up in; None for those of methods that no route names.
    fn trie(&mut self, method: Option<&str>) -> Router<usize> {
        let mut trie = Router::new();
        // By shape, since that is how a conflict is reported.
        let mut taken = HashMap::new();
        self.add(self.positions(method), &mut trie, &mut taken);
        if method.is_some() {
            // For every method means: for those that have no route of their own.
            let is_free = |at: &usize| {
                self.shapes[*at].as_ref().is_some_and(|shape| !taken.contains_key(shape))
            };
            let shared = self.positions(None).into_iter().filter(is_free).collect();
            self.add(shared, &mut trie, &mut taken);
        }
        trie
    }

    fn add(
        &mut self,
        positions: Vec<usize>,
        trie: &mut Router<usize>,
        taken: &mut HashMap<String, usize>,
    ) {
        for position in positions {
            let Some(shape) = self.shapes[position].clone() else {
                continue;
            };
            let path = || self.routes[position].path.clone();
            let added = match taken.get(&shape) {
                Some(first) => {
                    let other = self.routes[*first].path.clone();
                    Err(RouteError::Same { path: path(), other })
                }
                None => trie.insert(shape.as_str(), position).map_err(|error| match error {
                    InsertError::Conflict { with } => {
                        let other = taken.get(&with).map(|other| &self.routes[*other].path);
                        let other = other.cloned().unwrap_or(with);
                        RouteError::Ambiguous { path: path(), other }
                    }
                    error => RouteError::Pattern(error.to_string()),
                }),
            };
            match added {
                Ok(()) => {
                    taken.insert(shape, position);
                }
                Err(reason) => self.refuse(position, reason),
            }
        }
    }

    fn positions(&self, method: Option<&str>) -> Vec<usize> {
        let is_of = |route: &Route| route.method.as_deref() == method;
        (0..self.routes.len()).filter(|at| is_of(&self.routes[*at])).collect()
    }

    /// Leaves a route out of all that is built from now on; each is refused once.
    fn refuse(&mut self, position: usize, reason: RouteError) {
        self.shapes[position] = None;
        self.unusable.push(Unusable { position, reason });
    }
}

/// A pattern with its parameters' names taken out: two of one shape match the same paths.
fn shape(path: &str) -> Result<String, RouteError> {
    let (shape, parameters) = without_names(path);
    if parameters > PARAMETERS_MAX {
        return Err(RouteError::TooManyParameters);
    }
    // The matcher says what a pattern is, before its names are gone.
    let as_stated = Router::new().insert(path, ());
    as_stated.map_err(|error| RouteError::Pattern(error.to_string()))?;
    Ok(shape)
}

/// The shape of a pattern, if it is one, and how many parameters it has. Two braces are one that
/// stands for itself.
fn without_names(path: &str) -> (String, usize) {
    let mut shape = String::with_capacity(path.len());
    let mut parameters = 0;
    let mut in_name = false;
    let mut rest = path.chars().peekable();
    while let Some(char) = rest.next() {
        let is_doubled = matches!(char, '{' | '}') && rest.next_if_eq(&char).is_some();
        match char {
            '{' if !is_doubled && !in_name => {
                in_name = true;
                parameters += 1;
                shape.push('{');
                shape.extend(rest.next_if_eq(&'*'));
            }
            '}' if !is_doubled && in_name => {
                in_name = false;
                shape.push_str("_}");
            }
            _ if in_name => {}
            char => {
                shape.push(char);
                shape.extend(is_doubled.then_some(char));
            }
        }
    }
    (shape, parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Routes whose costs are 1, 2, 3 and so on.
    fn routes(stated: &[(&str, &str)]) -> Vec<Route> {
        let route = |(number, (method, path)): (usize, &(&str, &str))| Route {
            method: (!method.is_empty()).then(|| (*method).to_owned()),
            path: (*path).to_owned(),
            cost: number as u32 + 1,
            units_header: None,
            body_bytes_max: None,
        };
        stated.iter().enumerate().map(route).collect()
    }

    fn cost(table: &RouteTable, method: &str, path: &str) -> Option<u32> {
        table.find(method, path).map(|route| route.cost)
    }

    fn table(stated: &[(&str, &str)]) -> RouteTable {
        let (table, unusable) = RouteTable::compile(&routes(stated));
        assert_eq!(unusable, []);
        table
    }

    fn refused(stated: &[(&str, &str)]) -> Vec<(usize, String)> {
        let (_, unusable) = RouteTable::compile(&routes(stated));
        unusable.into_iter().map(|one| (one.position, one.reason.to_string())).collect()
    }

    #[test]
    fn what_a_parameter_is_called_decides_nothing() {
        let table = table(&[("GET", "/a/{x}"), ("POST", "/a/{y}"), ("", "/a/{z}")]);

        assert_eq!(cost(&table, "GET", "/a/1"), Some(1));
        assert_eq!(cost(&table, "POST", "/a/1"), Some(2));
        assert_eq!(cost(&table, "PUT", "/a/1"), Some(3));
    }

    #[test]
    fn a_more_specific_pattern_of_another_method_takes_no_call() {
        let table = table(&[("POST", "/a/b"), ("GET", "/a/{x}"), ("GET", "/{*rest}")]);

        assert_eq!(cost(&table, "GET", "/a/b"), Some(2));
        assert_eq!(cost(&table, "POST", "/a/b"), Some(1));
        assert_eq!(cost(&table, "POST", "/a/c"), None);
        assert_eq!(cost(&table, "GET", "/c/d"), Some(3));
    }

    #[test]
    fn the_path_decides_before_the_method() {
        let table = table(&[("", "/a/b"), ("GET", "/{*rest}"), ("GET", "/a/{x}")]);

        assert_eq!(cost(&table, "GET", "/a/b"), Some(1));
        assert_eq!(cost(&table, "GET", "/a/c"), Some(3));
        assert_eq!(cost(&table, "PUT", "/a/c"), None);
    }

    #[test]
    fn one_path_with_and_without_a_method_is_two_routes_in_any_order() {
        for stated in [[("", "/a"), ("GET", "/a")], [("GET", "/a"), ("", "/a")]] {
            let own = stated.iter().position(|(method, _)| *method == "GET").unwrap() as u32 + 1;
            let table = table(&stated);

            assert_eq!(cost(&table, "GET", "/a"), Some(own));
            assert_eq!(cost(&table, "HEAD", "/a"), Some(3 - own));
        }
    }

    #[test]
    fn a_trailing_slash_is_part_of_the_path() {
        let table = table(&[("", "/a"), ("", "/a/"), ("", "/b/{x}"), ("", "/b/{y}/")]);

        assert_eq!(cost(&table, "GET", "/a"), Some(1));
        assert_eq!(cost(&table, "GET", "/a/"), Some(2));
        assert_eq!(cost(&table, "GET", "/b/1"), Some(3));
        assert_eq!(cost(&table, "GET", "/b/1/"), Some(4));
    }

    #[test]
    fn catch_alls_are_told_apart_by_method_and_not_by_name() {
        let table = table(&[("GET", "/f/{*path}"), ("PUT", "/f/{*rest}"), ("", "/f/")]);

        assert_eq!(cost(&table, "GET", "/f/a/b"), Some(1));
        assert_eq!(cost(&table, "PUT", "/f/a/b"), Some(2));
        assert_eq!(cost(&table, "PUT", "/f/"), Some(3));
        let twice = [("GET", "/f/{*path}"), ("GET", "/f/{*rest}")];
        let message = "/f/{*rest} matches the same calls as /f/{*path}, for the same method";
        assert_eq!(refused(&twice), [(1, message.to_owned())]);
    }

    #[test]
    fn the_same_shape_and_method_is_refused_by_both_names() {
        for method in ["", "GET"] {
            let stated = [(method, "/a/{x}/b"), ("POST", "/a/{x}/b"), (method, "/a/{y}/b")];
            let message = "/a/{y}/b matches the same calls as /a/{x}/b, for the same method";
            assert_eq!(refused(&stated), [(2, message.to_owned())]);
        }
    }

    #[test]
    fn what_the_matcher_cannot_put_in_order_is_refused_also_across_methods() {
        let stated = [("", "/{*rest}"), ("GET", "/{name}.json"), ("PUT", "/{name}.json")];

        let [(0, message)] = &refused(&stated)[..] else {
            panic!("{:?}", refused(&stated));
        };
        assert_eq!(
            message,
            "/{*rest} cannot stand beside /{name}.json: some calls match both, and neither comes \
             first"
        );
    }

    #[test]
    fn braces_that_stand_for_themselves_are_no_parameter() {
        let table = table(&[("", "/{{a}}"), ("", "/{{b}}"), ("", "/{a}")]);

        assert_eq!(cost(&table, "GET", "/{a}"), Some(1));
        assert_eq!(cost(&table, "GET", "/{b}"), Some(2));
        assert_eq!(cost(&table, "GET", "/a"), Some(3));
    }

    #[test]
    fn patterns_that_are_none_are_refused_and_the_others_serve() {
        let many = "/{a}".repeat(PARAMETERS_MAX + 1);
        let stated = [("", "/{"), ("", "/{}"), ("", "/{*a}/b"), ("", "/{a}{b}"), ("", &many)];
        let positions: Vec<usize> = refused(&stated).iter().map(|(at, _)| *at).collect();
        assert_eq!(positions, [0, 1, 2, 3, 4]);

        let (table, _) = RouteTable::compile(&routes(&[("", "/{"), ("", "/b")]));
        assert_eq!(cost(&table, "GET", "/b"), Some(2));
        let most = "/{a}".repeat(PARAMETERS_MAX);
        assert_eq!(refused(&[("", &most)]), []);
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_breaks_the_matcher(path in "/[a{}*/]{0,40}") {
            RouteTable::compile(&routes(&[("", &path), ("GET", &path), ("", "/{x}")]));
        }
    }
}
