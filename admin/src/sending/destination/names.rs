//! What the meters are called at a destination.

use tollgate_common::meter::Meter;

use crate::json::{Fields, Text};

const NAME: Text = Text::line(1, 100);
const METER_LENGTH_MAX: usize = 32;

#[derive(Clone, Debug, Default)]
pub struct Names {
    given: Vec<(Meter, String)>,
    /// What a meter is called that has no name of its own; None leaves it without.
    prefix: Option<&'static str>,
}

impl Names {
    /// Reads an object of meters and names.
    pub fn read(fields: &mut Fields, setting: &str, prefix: Option<&'static str>) -> Self {
        let texts = fields.texts_defaulted(setting, METER_LENGTH_MAX, NAME).unwrap_or_default();
        let mut given = Vec::new();
        for (word, name) in texts {
            match Meter::from_label(&word) {
                Some(meter) => given.push((meter, name)),
                None => fields.reject(&format!("{setting}.{word}"), "is no meter"),
            }
        }
        Self { given, prefix }
    }

    pub fn of(&self, meter: Meter) -> Option<String> {
        let given = self.given.iter().find(|(known, _)| *known == meter);
        match given {
            Some((_, name)) => Some(name.clone()),
            None => self.prefix.map(|prefix| format!("{prefix}{}", meter.label())),
        }
    }
}
