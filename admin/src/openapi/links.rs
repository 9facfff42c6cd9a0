//! What can be done with what was just made: a link from each answer that something is made to every
//! operation on it, so that neither a reader nor a program guesses which id goes where (OpenAPI 3.1,
//! section 4.8.20). They follow from the paths alone.

use utoipa::Modify;
use utoipa::openapi::link::{Link, LinkBuilder};
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::{OpenApi, RefOr};

pub struct Links;

impl Modify for Links {
    fn modify(&self, description: &mut OpenApi) {
        let paths = &mut description.paths.paths;
        let targets = paths.iter().flat_map(|(path, item)| targets(path, item));
        let targets: Vec<Target> = targets.collect();
        for (path, item) in paths {
            let made = item.post.as_mut().and_then(|it| it.responses.responses.get_mut("201"));
            let Some(RefOr::T(made)) = made else { continue };
            let collection = path.rsplit('/').next();
            for target in targets.iter().filter(|target| Some(&*target.collection) == collection) {
                let link = target.link(made.headers.contains_key("etag"));
                made.links.insert(target.operation_id.clone(), RefOr::T(link));
            }
        }
    }
}

/// An operation on one thing of a collection, such as `/api/v1/plans/{id}`.
struct Target {
    collection: String,
    /// The parameter that stands for the thing.
    parameter: String,
    operation_id: String,
    /// Whether it can be told which state of the thing is meant.
    takes_tag: bool,
}

impl Target {
    fn link(&self, has_tag: bool) -> Link {
        let parameter = format!("path.{}", self.parameter);
        let link = LinkBuilder::new()
            .operation_id(&self.operation_id)
            .parameter(parameter, "$response.body#/id");
        if self.takes_tag && has_tag {
            return link.parameter("header.If-Match", "$response.header.etag").build();
        }
        link.build()
    }
}

fn targets(path: &str, item: &PathItem) -> Vec<Target> {
    let mut segments = path.trim_start_matches("/api/v1/").split('/');
    let (Some(collection), Some(thing)) = (segments.next(), segments.next()) else {
        return Vec::new();
    };
    let Some(parameter) = thing.strip_prefix('{').and_then(|thing| thing.strip_suffix('}')) else {
        return Vec::new();
    };
    let operations = [&item.get, &item.patch, &item.post, &item.delete].into_iter().flatten();
    let target = |operation: &Operation| {
        Some(Target {
            collection: collection.to_owned(),
            parameter: parameter.to_owned(),
            operation_id: operation.operation_id.clone()?,
            takes_tag: takes_tag(operation),
        })
    };
    operations.filter_map(target).collect()
}

fn takes_tag(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| match parameter {
        RefOr::T(it) => it.parameter_in == ParameterIn::Header && it.name == "If-Match",
        RefOr::Ref(_) => false,
    })
}
