//! Who may do what.
//!
//! Owns roles, the table of what each may do, and tokens. It must not know what a request does
//! beyond the [`Action`] that the table of URLs names for it.

pub mod authenticate;
pub mod session;
pub mod throttle;
pub mod token;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use token::Token;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    PlatformOwner,
    /// Runs the catalog, but neither sees nor makes keys or tokens.
    Operator,
    /// Reads.
    Auditor,
}

/// What a request wants. Each URL and method has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// See the catalog, its keys' prefixes, nodes and usage.
    Read,
    /// See who did what, and who may.
    ReadAccess,
    /// Make, edit and delete products, plans and consumers.
    EditCatalog,
    /// Move a subscription to another plan, or cancel it.
    EditSubscriptions,
    /// Make a key, or end one: also to subscribe, since that answers with a key.
    ManageKeys,
    ManageTokens,
    /// Set up billing systems, and decide on what did not reach them.
    ManageDestinations,
    /// Sign in at the console.
    UseConsole,
}

impl Action {
    pub const ALL: [Action; 8] = [
        Self::Read,
        Self::ReadAccess,
        Self::EditCatalog,
        Self::EditSubscriptions,
        Self::ManageKeys,
        Self::ManageTokens,
        Self::ManageDestinations,
        Self::UseConsole,
    ];
}

impl Role {
    pub const ALL: [Role; 3] = [Self::PlatformOwner, Self::Operator, Self::Auditor];

    pub const fn may(self, action: Action) -> bool {
        match (self, action) {
            (Self::PlatformOwner, _) => true,
            (Self::Operator, Action::Read | Action::ReadAccess) => true,
            (Self::Operator, Action::EditCatalog | Action::EditSubscriptions) => true,
            (Self::Operator, Action::ManageDestinations) => true,
            (Self::Operator, Action::ManageKeys | Action::ManageTokens) => false,
            (Self::Operator | Self::Auditor, Action::UseConsole) => false,
            (Self::Auditor, Action::Read | Action::ReadAccess) => true,
            (Self::Auditor, Action::EditCatalog | Action::EditSubscriptions) => false,
            (Self::Auditor, Action::ManageKeys | Action::ManageTokens) => false,
            (Self::Auditor, Action::ManageDestinations) => false,
        }
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::PlatformOwner => "platform_owner",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
        }
    }
}

/// Whoever passed the door: proof that a request's action was allowed. [`authenticate`] makes one,
/// and [`local`](crate::local) for whoever has the store's file at hand.
#[derive(Clone, Debug)]
pub struct Caller {
    actor: String,
    name: String,
    role: Role,
}

impl Caller {
    /// Whoever works on the store's file itself.
    pub(crate) fn on_the_machine() -> Self {
        let actor = "command-line".to_owned();
        Self { name: actor.clone(), actor, role: Role::PlatformOwner }
    }

    /// The program itself, where it acts without being asked.
    pub(crate) fn of_itself() -> Self {
        let actor = "tollgate".to_owned();
        Self { name: actor.clone(), actor, role: Role::Operator }
    }

    /// Whoever an OpenID provider vouches for.
    pub(crate) fn of_provider(subject: &str, name: String, role: Role) -> Self {
        Self { actor: format!("openid:{subject}"), name, role }
    }

    /// The id of the token, `bootstrap`, or whom a provider vouches for.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// For what depends on the body and not on the URL alone.
    pub fn may(&self, action: Action) -> bool {
        self.role.may(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_the_table_says() {
        let table: Vec<String> = Action::ALL
            .iter()
            .map(|action| {
                let marks = Role::ALL.map(|role| if role.may(*action) { "yes" } else { "no" });
                format!("{action:?}: {}", marks.join(" "))
            })
            .collect();

        insta::assert_snapshot!(table.join("\n"), @r"
        Read: yes yes yes
        ReadAccess: yes yes yes
        EditCatalog: yes yes no
        EditSubscriptions: yes yes no
        ManageKeys: yes no no
        ManageTokens: yes no no
        ManageDestinations: yes yes no
        UseConsole: yes no no
        ");
    }
}
