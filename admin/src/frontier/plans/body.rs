//! What a client says of a plan.

use tollgate_common::price::Interval;

use crate::change::BundleFields;
use crate::frontier::features::body::check_metadata;
use crate::frontier::message::Message;
use crate::frontier::products::body::{INTERVALS, NAME, ProductBody, ProductTerms, TITLE};
use crate::frontier::violation::{Violation, at_least, at_most, bounded, word};
use crate::json::Text;
use crate::problem::Problem;

/// Bounds of ours, where Frontier has none.
const PRODUCTS_MAX: usize = 100;
const DESCRIPTION: Text = Text { length_min: 0, length_max: 10_000, lines: true };

/// A plan whose form is right.
pub struct PlanBody {
    interval: String,
    products: Vec<ProductBody>,
    fields: BundleFields,
}

/// A plan that breaks no rule.
pub struct PlanTerms {
    pub fields: BundleFields,
    pub products: Vec<ProductTerms>,
}

impl PlanBody {
    pub fn read(message: &mut Message) -> Result<Self, Problem> {
        Ok(Self {
            interval: message.text("interval")?,
            products: message.messages("products", ProductBody::read_in_plan)?,
            fields: BundleFields {
                name: message.text("name")?,
                title: message.text("title")?,
                description: message.text("description")?,
                interval: Interval::Month,
                on_start_credits: message.integer("on_start_credits")?,
                trial_days: message.integer("trial_days")?,
                metadata: message.object("metadata")?,
            },
        })
    }

    pub fn checked(self) -> Result<PlanTerms, Violation> {
        let Self { interval, products, fields } = self;
        at_least("PlanRequestBody.Name", 1, &fields.name)?;
        bounded("PlanRequestBody.Name", &fields.name, NAME)?;
        bounded("PlanRequestBody.Title", &fields.title, TITLE)?;
        bounded("PlanRequestBody.Description", &fields.description, DESCRIPTION)?;
        at_most("PlanRequestBody.Products", PRODUCTS_MAX, products.len())?;
        let mut checked = Vec::new();
        for (position, product) in products.into_iter().enumerate() {
            let place = format!("PlanRequestBody.Products[{position}]");
            let product = product.checked("Product");
            checked.push(product.map_err(|violation| violation.within(&place))?);
        }
        let interval = word("PlanRequestBody.Interval", &interval, &INTERVALS)?;
        check_metadata("PlanRequestBody.Metadata", &fields.metadata)?;
        Ok(PlanTerms { fields: BundleFields { interval, ..fields }, products: checked })
    }
}

/// Reads the body of a request whose body is called `field`.
pub fn read(body: &[u8], field: &str) -> Result<PlanTerms, Problem> {
    let mut request = Message::parse(body)?;
    let Some(mut body) = request.message("body")? else {
        return Err(Violation::new(field, "value is required").into());
    };
    let checked = PlanBody::read(&mut body)?.checked();
    Ok(checked.map_err(|violation| violation.within(field))?)
}
