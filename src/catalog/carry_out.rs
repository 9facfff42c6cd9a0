//! Steps, done one after the other. What was done stays done; the rest can be done by applying the
//! same file again.

use std::collections::HashMap;
use std::fmt;

use reqwest::Method;

use super::api::{Api, ApiError};
use super::steps::{Call, Step};

/// Why not everything was done, and what was.
#[derive(Debug)]
pub struct Stopped<'s> {
    done: &'s [Step],
    /// The first is the one that failed.
    not_done: &'s [Step],
    error: ApiError,
}

impl Stopped<'_> {
    /// Whether it is certain that nothing was changed.
    pub fn left_all_as_it_was(&self) -> bool {
        self.done.is_empty() && self.error.is_refusal()
    }
}

impl fmt::Display for Stopped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(failed) = self.not_done.first() {
            write!(f, "stopped at `{failed}`: ")?;
        }
        writeln!(f, "{}", self.error)?;
        for (title, steps) in [("done", self.done), ("not done", self.not_done)] {
            if !steps.is_empty() {
                writeln!(f, "{title}:")?;
            }
            for step in steps {
                writeln!(f, "  {step}")?;
            }
        }
        f.write_str("apply the file again to go on from here")
    }
}

pub async fn carry_out<'s>(api: &Api, steps: &'s [Step]) -> Result<(), Stopped<'s>> {
    // An edit of ours makes a new validator for the next one.
    let mut etags = HashMap::new();
    for (position, step) in steps.iter().enumerate() {
        if let Err(error) = do_one(api, step, &mut etags).await {
            let (done, not_done) = steps.split_at(position);
            return Err(Stopped { done, not_done, error });
        }
    }
    Ok(())
}

async fn do_one<'s>(
    api: &Api,
    step: &'s Step,
    etags: &mut HashMap<&'s str, String>,
) -> Result<(), ApiError> {
    match &step.call {
        Call::Create { path, body } => {
            api.post(path, body).await?;
        }
        Call::Edit { path, etag, patch } => {
            let etag = etags.get(path.as_str()).unwrap_or(etag);
            let etag = api.change(Method::PATCH, path, etag, Some(patch)).await?;
            etags.extend(etag.map(|etag| (path.as_str(), etag)));
        }
        Call::RemovePlan { path, etag } => {
            api.change(Method::DELETE, path, etag, None).await?;
        }
        Call::RemoveProduct { path, etag } => {
            // A plan that came after the steps were shown may have subscriptions by now.
            let list = format!("{path}/plans");
            if !api.list(&list).await?.is_empty() {
                return Err(ApiError::NotEmpty { list });
            }
            let etag = etags.get(path.as_str()).unwrap_or(etag);
            api.change(Method::DELETE, path, etag, None).await?;
        }
    }
    Ok(())
}
