//! What is to be done so that the catalog is what the file says, in an order that works.
//!
//! Hosts that change hands are let go first, since a host leads to one product only. Then products
//! are made and edited, then their plans. What is removed comes last, plans before their product: the
//! control plane refuses to delete a plan with live subscriptions, whereas deleting a product ends
//! them.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Value, json};
use tollgate_admin::json::{Object, patch};

use super::difference;
use super::file::{Catalog, Wanted, WantedProduct, list};
use super::mistake::Mistake;
use super::normal::Kind;
use super::present::{Held, HeldProduct, Present};

#[derive(Debug)]
pub struct Step {
    /// Such as `product weather` or `plan weather/free`.
    pub what: String,
    /// What it changes, for people.
    pub lines: Vec<String>,
    pub call: Call,
}

/// Paths are below `/api/v1`.
#[derive(Debug)]
pub enum Call {
    Create {
        path: String,
        body: Object,
    },
    Edit {
        path: String,
        etag: String,
        patch: Object,
    },
    RemovePlan {
        path: String,
        etag: String,
    },
    /// Deletes a product whose list of plans is empty by then.
    RemoveProduct {
        path: String,
        etag: String,
    },
}

#[derive(Debug, Default)]
pub struct Steps {
    pub steps: Vec<Step>,
    /// What the file does not name and what stays all the same.
    pub kept: Vec<String>,
}

impl Step {
    pub fn touches(&self, held: &str) -> bool {
        match &self.call {
            Call::Create { .. } => false,
            Call::Edit { path, .. }
            | Call::RemovePlan { path, .. }
            | Call::RemoveProduct { path, .. } => path == held,
        }
    }

    const fn sign(&self) -> char {
        match self.call {
            Call::Create { .. } => '+',
            Call::Edit { .. } => '~',
            Call::RemovePlan { .. } | Call::RemoveProduct { .. } => '-',
        }
    }

    fn edit(what: String, held: &Held, fields: &Object, wanted: &Object) -> Option<Self> {
        let lines = difference::lines(fields, wanted);
        let patch = patch(fields, wanted);
        let call = Call::Edit { path: held.path.clone(), etag: held.etag.clone(), patch };
        (!lines.is_empty()).then_some(Self { what, lines, call })
    }

    fn create(kind: Kind, what: String, path: String, wanted: &Object) -> Self {
        let stated = kind.stated(wanted).into_iter().filter(|(name, _)| name != "name");
        let line = |(name, value)| format!("{name}: {}", difference::shown(&value));
        let call = Call::Create { path, body: wanted.clone() };
        Self { what, lines: stated.map(line).collect(), call }
    }
}

/// What a step is, in one line.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sign(), self.what)
    }
}

/// All that will be done, for people.
impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
            for line in &step.lines {
                writeln!(f, "    {line}")?;
            }
        }
        for what in &self.kept {
            writeln!(f, "  {what}: not in the file; stays without --prune")?;
        }
        let count = |sign| self.steps.iter().filter(|step| step.sign() == sign).count();
        match self.steps.len() {
            0 => f.write_str("nothing to do"),
            _ => write!(
                f,
                "{} to create, {} to change, {} to remove",
                count('+'),
                count('~'),
                count('-')
            ),
        }
    }
}

/// Holds the file against what is there.
pub fn compare(wanted: &Catalog, present: &Present, prune: bool) -> Result<Steps, Vec<Mistake>> {
    let held: HashMap<&str, &HeldProduct> =
        present.products.iter().map(|it| (it.product.name.as_str(), it)).collect();
    let wanted_names: HashMap<&str, &WantedProduct> =
        wanted.products.iter().map(|it| (it.product.name.as_str(), it)).collect();
    let mut comparison = Comparison { prune, ..Comparison::default() };
    let mut released = HashMap::new();
    for it in &present.products {
        let stays = prune || wanted_names.contains_key(it.product.name.as_str());
        released.extend(comparison.release_hosts(&it.product, wanted, stays));
    }
    for it in &wanted.products {
        let there = held.get(it.product.name.as_str()).map(|there| &there.product);
        let fields = there.map(|there| released.get(there.path.as_str()).unwrap_or(&there.fields));
        comparison.make(there.zip(fields), &it.product, Kind::Product, "", "products");
    }
    for it in &wanted.products {
        let there = held.get(it.product.name.as_str()).map_or(&[][..], |there| &there.plans);
        comparison.plans(it, there);
    }
    let gone = |it: &&HeldProduct| !wanted_names.contains_key(it.product.name.as_str());
    for it in present.products.iter().filter(gone) {
        comparison.product_gone(it);
    }
    let Comparison { mut steps, removals, mistakes, .. } = comparison;
    steps.steps.extend(removals);
    if mistakes.is_empty() { Ok(steps) } else { Err(mistakes) }
}

#[derive(Default)]
struct Comparison {
    steps: Steps,
    removals: Vec<Step>,
    prune: bool,
    mistakes: Vec<Mistake>,
}

impl Comparison {
    /// Lets go of hosts that the file gives to another product: what the product is after that.
    /// Nothing is taken from a product that the file leaves alone.
    fn release_hosts<'p>(
        &mut self,
        holder: &'p Held,
        wanted: &Catalog,
        may_change: bool,
    ) -> Option<(&'p str, Object)> {
        let taker = |host: &Value| {
            let mut others = wanted.products.iter().filter(|it| it.product.name != holder.name);
            others.find(|it| list(&it.product.fields, "hosts").contains(host))
        };
        let hosts = list(&holder.fields, "hosts");
        let (taken, left): (Vec<Value>, Vec<Value>) =
            hosts.iter().cloned().partition(|host| taker(host).is_some());
        if taken.is_empty() {
            return None;
        }
        if !may_change {
            for host in &taken {
                let taker = taker(host).map(|it| &it.product);
                self.mistakes.extend(taker.map(|taker| {
                    let message = format!(
                        "{host} leads to the product {}, which the file does not name",
                        holder.name
                    );
                    Mistake::at(taker.place, format!("{}.hosts", taker.field), message)
                }));
            }
            return None;
        }
        let mut fields = holder.fields.clone();
        fields.insert("hosts".to_owned(), json!(left));
        let what = format!("product {}", holder.name);
        self.steps.steps.extend(Step::edit(what, holder, &holder.fields, &fields));
        Some((holder.path.as_str(), fields))
    }

    /// Makes what is not there, edits what is there and differs.
    fn make(
        &mut self,
        there: Option<(&Held, &Object)>,
        wanted: &Wanted,
        kind: Kind,
        of: &str,
        path: &str,
    ) {
        let what = format!("{} {of}{}", kind.word(), wanted.name);
        let Some((held, fields)) = there else {
            self.steps.steps.push(Step::create(kind, what, path.to_owned(), &wanted.fields));
            return;
        };
        let differs = fields.get("metadata") != wanted.fields.get("metadata");
        if differs && wanted.fields.get("metadata").is_some_and(has_null_member) {
            let message = "a null in it cannot be set by an edit: leave the member out";
            let field = format!("{}.metadata", wanted.field);
            self.mistakes.push(Mistake::at(wanted.place, field, message));
        }
        self.steps.steps.extend(Step::edit(what, held, fields, &wanted.fields));
    }

    fn plans(&mut self, product: &WantedProduct, there: &[Held]) {
        let of = format!("{}/", product.product.name);
        let Some(plans) = &product.plans else { return };
        for plan in plans {
            let held = there.iter().find(|held| held.name == plan.name);
            let held = held.map(|held| (held, &held.fields));
            self.make(held, plan, Kind::Plan, &of, &format!("products/{of}plans"));
        }
        let gone = there.iter().filter(|held| !plans.iter().any(|plan| plan.name == held.name));
        for plan in gone {
            self.plan_gone(&of, plan);
        }
    }

    fn plan_gone(&mut self, of: &str, plan: &Held) {
        let call = Call::RemovePlan { path: plan.path.clone(), etag: plan.etag.clone() };
        self.gone(format!("plan {of}{}", plan.name), call);
    }

    fn product_gone(&mut self, it: &HeldProduct) {
        if self.prune {
            for plan in &it.plans {
                self.plan_gone(&format!("{}/", it.product.name), plan);
            }
        }
        let Held { path, etag, name, .. } = &it.product;
        let call = Call::RemoveProduct { path: path.clone(), etag: etag.clone() };
        self.gone(format!("product {name}"), call);
    }

    fn gone(&mut self, what: String, call: Call) {
        if self.prune {
            self.removals.push(Step { what, lines: Vec::new(), call });
        } else {
            self.steps.kept.push(what);
        }
    }
}

/// A merge patch takes null for nothing.
fn has_null_member(value: &Value) -> bool {
    let members = value.as_object().into_iter().flatten();
    members.map(|(_, member)| member).any(|member| member.is_null() || has_null_member(member))
}

#[cfg(test)]
#[path = "steps/tests.rs"]
mod tests;
