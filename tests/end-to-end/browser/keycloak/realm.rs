//! The realm of the tests: a client for yima, and three people with roles and attributes.

use serde_json::{Value, json};

pub const NAME: &str = "city";
pub const SECRET: &str = "of yima at its provider";
pub const PASSWORD: &str = "correct horse";

/// A realm whose client may lead back to these ports' addresses. `number` is the citizen's document.
pub fn realm([read, write]: [&str; 2], number: &str) -> Value {
    let attribute = |name: &str| {
        json!({
            "name": name, "protocol": "openid-connect", "protocolMapper": "oidc-usermodel-attribute-mapper",
            "config": {
                "user.attribute": name, "claim.name": name, "jsonType.label": "String",
                "id.token.claim": "true", "access.token.claim": "true",
            },
        })
    };
    let mut mappers = ["document_number", "checkpoint", "agency"].map(attribute).to_vec();
    mappers.push(json!({
        "name": "roles", "protocol": "openid-connect", "protocolMapper": "oidc-usermodel-realm-role-mapper",
        "config": {
            "claim.name": "roles", "multivalued": "true", "jsonType.label": "String",
            "id.token.claim": "true", "access.token.claim": "true",
        },
    }));
    mappers.push(json!({
        "name": "audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
        "config": { "included.custom.audience": "yima", "access.token.claim": "true" },
    }));
    let user = |name: &str, roles: &[&str], attributes: Value| {
        json!({
            "username": name, "enabled": true, "emailVerified": true, "email": format!("{name}@city.example"),
            "firstName": name, "lastName": "Test", "realmRoles": roles, "attributes": attributes,
            "credentials": [{ "type": "password", "value": PASSWORD, "temporary": false }],
        })
    };
    let profile = json!({
        "attributes": [{ "name": "username" }, { "name": "email" }, { "name": "firstName" }, { "name": "lastName" }],
        "unmanagedAttributePolicy": "ENABLED",
    });
    let roles = ["display", "scan", "scan:document", "events:write"].map(|name| json!({ "name": name }));
    let pages = [format!("{read}/"), format!("{read}/checkpoint"), format!("{write}/")];
    json!({
        "realm": NAME, "enabled": true, "sslRequired": "none", "defaultSignatureAlgorithm": "ES256",
        "accessTokenLifespan": 900,
        "roles": { "realm": roles },
        "users": [
            user("anna", &["display"], json!({ "document_number": [number] })),
            user("guard", &["scan", "scan:document"], json!({ "checkpoint": ["gate-7"] })),
            user("clerk", &["events:write"], json!({ "agency": ["lab-7"] })),
        ],
        "clients": [{
            "clientId": "yima", "secret": SECRET, "publicClient": false, "standardFlowEnabled": true,
            "directAccessGrantsEnabled": true,
            "redirectUris": [format!("{read}/sign-in/callback"), format!("{write}/sign-in/callback")],
            "attributes": {
                "pkce.code.challenge.method": "S256", "post.logout.redirect.uris": pages.join("##"),
            },
            "protocolMappers": mappers,
        }],
        "components": { "org.keycloak.userprofile.UserProfileProvider": [{
            "providerId": "declarative-user-profile",
            "config": { "kc.user.profile.config": [profile.to_string()] },
        }] },
    })
}
