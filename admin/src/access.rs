//! Who may do what.
//!
//! Owns roles, the table of what each may do, and tokens. It must not know what a request does
//! beyond the [`Action`] that the table of URLs names for it.

pub mod authenticate;
pub mod session;
pub mod throttle;
pub mod token;

use serde::{Deserialize, Serialize};
use tollgate_common::ids::TokenId;
use tollgate_common::time::Timestamp;
use utoipa::ToSchema;

pub use token::Token;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    PlatformOwner,
    /// Runs the catalog, but makes neither keys nor tokens.
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
    /// The token of the store that it came with; None where it stands on something else.
    token: Option<TokenId>,
}

impl Caller {
    /// Whoever works on the store's file itself.
    pub(crate) fn on_the_machine() -> Self {
        Self::named("command-line", Role::PlatformOwner)
    }

    /// The program itself, where it acts without being asked.
    pub(crate) fn of_itself() -> Self {
        Self::named("tollgate", Role::Operator)
    }

    /// Whoever holds the token of the settings, which lives as long as the process.
    fn with_bootstrap_token() -> Self {
        Self::named("bootstrap", Role::PlatformOwner)
    }

    fn named(actor: &str, role: Role) -> Self {
        Self { actor: actor.to_owned(), name: actor.to_owned(), role, token: None }
    }

    /// Whoever holds a token of the store.
    fn with_token(token: Token) -> Self {
        let Token { id, name, role, .. } = token;
        Self { actor: id.to_string(), name, role, token: Some(id) }
    }

    /// Whoever an OpenID provider vouches for.
    pub(crate) fn of_provider(subject: &str, name: String, role: Role) -> Self {
        Self { actor: format!("openid:{subject}"), name, role, token: None }
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

    /// The token to look up where it may have ended since the caller was let in.
    pub(crate) fn token(&self) -> Option<TokenId> {
        self.token
    }

    /// Whether the caller still is who was let in, by the token as it is now.
    pub(crate) fn still_holds(&self, token: Option<&Token>, now: Timestamp) -> bool {
        token.is_some_and(|token| !token.is_expired(now) && token.role == self.role)
    }

    /// For what depends on the body and not on the URL alone.
    pub fn may(&self, action: Action) -> bool {
        self.role.may(action)
    }
}

#[cfg(test)]
mod tests {
    use tollgate_common::catalog::KeyDigest;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_caller_stays_who_it_was_only_with_its_token_and_its_role() {
        let token = Token {
            id: TokenId(Uuid::nil()),
            name: "Grace".to_owned(),
            role: Role::PlatformOwner,
            digest: KeyDigest([0; 32]),
            created_at: Timestamp(0),
            expires_at: Some(Timestamp(2)),
        };
        let lowered = Token { role: Role::Auditor, ..token.clone() };
        let caller = Caller::with_token(token.clone());

        assert!(caller.still_holds(Some(&token), Timestamp(1)));
        assert!(!caller.still_holds(Some(&token), Timestamp(2)));
        assert!(!caller.still_holds(Some(&lowered), Timestamp(1)));
        assert!(!caller.still_holds(None, Timestamp(1)));
        assert_eq!(Caller::with_bootstrap_token().token(), None);
    }

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
