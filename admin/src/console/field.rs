//! A form on a page: its fields with what was typed and what is wrong with it, each beside the other.

use maud::{Markup, html};

use super::form::{Errors, Form};
use super::visitor::Visitor;

/// A form in the making: what its fields hold, and what is wrong.
pub struct Sheet<'a> {
    pub visitor: &'a Visitor,
    pub form: &'a Form,
    pub errors: &'a Errors,
}

/// One of the values that can be chosen.
pub struct Choice<'a> {
    pub value: &'a str,
    pub label: &'a str,
    pub hint: &'a str,
}

/// Where a form goes, and the words on its buttons.
pub struct Target<'a> {
    pub action: &'a str,
    pub submit: &'a str,
    /// Where whoever changes their mind goes.
    pub back: &'a str,
    pub is_dangerous: bool,
}

impl Sheet<'_> {
    /// The whole form. `shown` are the fields that it has: what is wrong elsewhere is told above.
    pub fn whole(&self, target: &Target<'_>, shown: &[&str], fields: &Markup) -> Markup {
        let others = self.errors.elsewhere(shown);
        let class = if target.is_dangerous { "danger" } else { "primary" };
        html! {
            form method="post" action=(target.action) novalidate {
                (self.visitor.proof_field())
                @for kept in ["tag", "once"] {
                    @if self.form.has(kept) {
                        input type="hidden" name=(kept) value=(self.form.text(kept));
                    }
                }
                @if self.errors.summary.is_some() || !others.is_empty() {
                    div.error.summary role="alert" {
                        @if let Some(summary) = &self.errors.summary { p { (summary) } }
                        @for other in &others { p { (other) } }
                    }
                }
                (fields)
                div.buttons {
                    button class=(class) type="submit" { (target.submit) }
                    a.button href=(target.back) data-close { "Cancel" }
                }
            }
        }
    }

    pub fn text(&self, name: &str, label: &str, hint: &str) -> Markup {
        self.input("text", name, label, hint)
    }

    /// A line of text with a keyboard for its kind.
    pub fn input(&self, kind: &str, name: &str, label: &str, hint: &str) -> Markup {
        let mode = match kind {
            "number" => Some("numeric"),
            "decimal" => Some("decimal"),
            _ => None,
        };
        // A browser's own number field forgets what it cannot read, and the mistake with it.
        let kind = if mode.is_some() { "text" } else { kind };
        let input = html! {
            input id=(id(name)) type=(kind) name=(name) value=(self.form.text(name))
                inputmode=[mode] aria-describedby=[self.described(name, hint)]
                aria-invalid=[self.is_invalid(name)] autocomplete="off";
        };
        self.framed(name, label, hint, &input)
    }

    /// What is typed and never shown, not even after a mistake elsewhere.
    pub fn secret(&self, name: &str, label: &str, hint: &str) -> Markup {
        let input = html! {
            input id=(id(name)) type="password" name=(name)
                aria-describedby=[self.described(name, hint)]
                aria-invalid=[self.is_invalid(name)] autocomplete="new-password";
        };
        self.framed(name, label, hint, &input)
    }

    pub fn area(&self, name: &str, label: &str, hint: &str, rows: u8) -> Markup {
        let input = html! {
            textarea id=(id(name)) name=(name) rows=(rows)
                aria-describedby=[self.described(name, hint)]
                aria-invalid=[self.is_invalid(name)] { "\n" (self.form.text(name)) }
        };
        self.framed(name, label, hint, &input)
    }

    pub fn select(&self, name: &str, label: &str, hint: &str, choices: &[Choice<'_>]) -> Markup {
        let input = html! {
            select id=(id(name)) name=(name) aria-describedby=[self.described(name, hint)]
                aria-invalid=[self.is_invalid(name)] {
                @for choice in choices {
                    option value=(choice.value) selected[self.form.text(name) == choice.value] {
                        (choice.label)
                    }
                }
            }
        };
        self.framed(name, label, hint, &input)
    }

    /// A few values, all to be seen, each with its meaning.
    pub fn radios(&self, name: &str, label: &str, choices: &[Choice<'_>]) -> Markup {
        html! {
            fieldset.field aria-describedby=[self.described(name, "")] {
                legend { (label) }
                @for choice in choices {
                    label.choice {
                        input type="radio" name=(name) value=(choice.value)
                            checked[self.form.text(name) == choice.value];
                        span { (choice.label) }
                        @if !choice.hint.is_empty() { span.hint { (choice.hint) } }
                    }
                }
                (self.errors_at(name))
            }
        }
    }

    /// Any of a few values.
    pub fn checks(&self, name: &str, label: &str, hint: &str, choices: &[Choice<'_>]) -> Markup {
        html! {
            fieldset.field aria-describedby=[self.described(name, hint)] {
                legend { (label) }
                @if !hint.is_empty() { p.hint id={ (id(name)) "-hint" } { (hint) } }
                @for choice in choices {
                    label.choice {
                        input type="checkbox" name=(name) value=(choice.value)
                            checked[self.form.all(name).any(|value| value == choice.value)];
                        span { (choice.label) }
                    }
                }
                (self.errors_at(name))
            }
        }
    }

    fn framed(&self, name: &str, label: &str, hint: &str, input: &Markup) -> Markup {
        html! {
            div.field {
                label for=(id(name)) { (label) }
                @if !hint.is_empty() { p.hint id={ (id(name)) "-hint" } { (hint) } }
                (input)
                (self.errors_at(name))
            }
        }
    }

    fn errors_at(&self, name: &str) -> Markup {
        let errors = self.errors.at(name);
        html! {
            @if !errors.is_empty() {
                div.error id={ (id(name)) "-error" } { @for error in &errors { p { (error) } } }
            }
        }
    }

    fn is_invalid(&self, name: &str) -> Option<&'static str> {
        (!self.errors.at(name).is_empty()).then_some("true")
    }

    fn described(&self, name: &str, hint: &str) -> Option<String> {
        let error = self.is_invalid(name).map(|_| format!("{}-error", id(name)));
        let hint = (!hint.is_empty()).then(|| format!("{}-hint", id(name)));
        let parts: Vec<String> = error.into_iter().chain(hint).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

/// Names of fields are names of the API, and may hold what an id may not.
fn id(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("field-{}", name.chars().map(safe).collect::<String>())
}
