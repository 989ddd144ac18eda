//! Guardians and wards in one process: what an agency states and what two people agree on, until either ends it, a
//! restart and a backup included; and what a scanner without a network makes of a guardian's codes.

use serde_json::{Value, json};
use yima_harness::{Options, Person, Yima, ago, new_person, now};
use yima_schema::time::{DAY, HOUR};

use crate::offline_bundle::{Bundle, issuers, read};
use crate::phones::{Tokens, send};

/// A citizen, who shows the code of a ward with `ward`.
pub struct Citizen<'y> {
    yima: &'y Yima,
    bearer: String,
    session: String,
    ward: Option<String>,
}

impl<'y> Citizen<'y> {
    pub fn new(yima: &'y Yima, person: &Person) -> Self {
        let session = yima.session_of(person);
        Self { yima, bearer: format!("Bearer {session}"), session, ward: None }
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        let own = [("authorization", self.bearer.as_str()), ("content-type", "application/json")];
        own.into_iter().chain(self.ward.as_deref().map(|ward| ("yima-for", ward))).collect()
    }

    /// Status and body.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string);
        send(self.yima, method, path, &self.headers(), body.as_deref().map(str::as_bytes))
    }

    /// The same without a body, with further header fields.
    pub fn send_with(&self, method: &str, path: &str, further: &[(&str, &str)]) -> (u16, Value) {
        send(self.yima, method, path, &[&self.headers()[..], further].concat(), None)
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    pub fn invite(&self) -> Value {
        let (status, body) = self.send("POST", "/v1/guardians/invitations", None);
        assert_eq!(status, 201, "{body}");
        body["invitation"].clone()
    }

    pub fn redeem(&self, invitation: &Value) -> (u16, Value) {
        self.send("POST", "/v1/wards", Some(&json!({ "invitation": invitation })))
    }

    /// The same citizen, who shows the code of the ward that an answer names.
    pub fn for_ward(&self, ward: &Value) -> Self {
        let ward = ward["ward"].as_str().expect("a handle").to_owned();
        Self { yima: self.yima, bearer: self.bearer.clone(), session: self.session.clone(), ward: Some(ward) }
    }

    fn problem(&self, path: &str) -> (u16, String) {
        let (status, body) = self.send("GET", path, None);
        (status, body["type"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned())
    }

    /// The tokens of a new phone.
    fn tokens(&self) -> Tokens {
        let (status, phone) = self.send("POST", "/v1/phones", Some(&json!({ "name": "Phone" })));
        assert_eq!(status, 201, "{phone}");
        let further: Vec<_> = self.ward.as_deref().map(|ward| ("yima-for", ward)).into_iter().collect();
        Tokens::fetch_with(self.yima, &self.session, phone["id"].as_str().expect("an id"), &further)
    }
}

fn refused() -> (u16, String) {
    (403, "not-a-guardian".into())
}

/// Two people of whom a laboratory knows something.
fn two_people(yima: &Yima) -> [Person; 2] {
    let people = [new_person(), new_person()];
    for person in &people {
        assert_eq!(yima.event(&yima.agency_token("lab-7"), &person.test("t-1", "negative", HOUR)), "accepted");
    }
    people
}

/// What civil affairs states of a ward.
pub fn guardianship(ward: &Person, id: &str, guardian: &Person, until: Option<String>) -> Value {
    let data = json!({
        "guardian_document_type": "cn_resident_id",
        "guardian_document_number": guardian.document,
        "until": until,
    });
    ward.event(id, "guardianship", &ago(HOUR * 2), data)
}

#[test]
fn an_invitation_makes_a_guardian_whose_codes_say_so_online_and_offline_until_it_is_ended() {
    let mut yima = Yima::start(Options::default().unlimited().env("YIMA_OFFLINE__RELEASE_PERIOD_S", 1));
    let [parent, child] = two_people(&yima);
    let guard = yima.checkpoint_session();
    let of_scan = |scan: &Value| (scan["reason"].as_str().unwrap_or_default().to_owned(), scan["guardian"].clone());
    let (handle, tokens) = {
        let (parent, child) = (Citizen::new(&yima, &parent), Citizen::new(&yima, &child));
        let (status, redeemed) = child.redeem(&parent.invite());
        assert_eq!(status, 201, "{redeemed}");
        let guardian = child.for_ward(&redeemed);
        assert_eq!(guardian.get("/v1/display")["identity"], parent.get("/v1/display")["identity"]);
        let code = guardian.get("/v1/code");
        let scan = yima.scan(&guard, code["code"].as_str().expect("a code"));
        assert_eq!((of_scan(&scan), &scan["verdict"]), (("green".into(), json!(true)), &json!("pass")));
        let tokens = guardian.tokens();
        (redeemed, tokens)
    };
    assert_eq!(of_scan(&yima.scan(&guard, &tokens.show())), ("green".into(), json!(true)));
    let issuers = issuers(&yima);
    let claims = read(&tokens.show(), &issuers);
    assert!(claims.guardian && !Bundle::of_after(&yima, now()).denies(&claims));

    yima.restart();
    let (parent, child) = (Citizen::new(&yima, &parent), Citizen::new(&yima, &child));
    let guardian = child.for_ward(&handle);
    assert_eq!(child.get("/v1/wards")["wards"].as_array().map(Vec::len), Some(1));
    assert_eq!(parent.get("/v1/guardians")["guardians"][0]["phones"], 1);
    assert_eq!(of_scan(&yima.scan(&guard, &tokens.show())), ("green".into(), json!(true)));
    let ended = &parent.get("/v1/guardians")["guardians"][0]["guardian"];
    let path = format!("/v1/guardians/{}", ended.as_str().expect("a handle"));
    assert_eq!(parent.send("DELETE", &path, None).0, 204);
    assert_eq!(guardian.problem("/v1/code"), refused());
    assert_eq!(guardian.problem("/v1/display"), refused());
    assert_eq!(of_scan(&yima.scan(&guard, &tokens.show())), ("phone_ended".into(), json!(true)));
    assert!(Bundle::of_after(&yima, now()).denies(&claims), "from the next release on");
    assert_eq!(child.get("/v1/wards")["wards"], json!([]));
}

#[test]
fn an_agency_states_corrects_and_takes_back_who_shows_a_childs_code() {
    let mut yima = Yima::start(Options::default().unlimited());
    let [child, parent] = two_people(&yima);
    let civil = yima.agency_token("civil-affairs");
    let until = now().plus(DAY * 3_000).to_string();
    let stated = guardianship(&child, "g-1", &parent, Some(until.clone()));
    assert_eq!(yima.event(&civil, &stated), "accepted");
    assert_eq!(yima.event(&civil, &stated), "duplicate");
    yima.restart();
    let ward = {
        let guardian = Citizen::new(&yima, &parent);
        let wards = guardian.get("/v1/wards")["wards"].clone();
        assert_eq!((wards.as_array().map(Vec::len), &wards[0]["until"]), (Some(1), &json!(until)));
        assert_eq!(wards[0]["agency"], "civil-affairs");
        let guardian = guardian.for_ward(&wards[0]);
        guardian.get("/v1/code");
        wards[0].clone()
    };
    let guardian = Citizen::new(&yima, &parent).for_ward(&ward);
    // A correction that is over by now, one that is not, and the end of it.
    let mut corrected = guardianship(&child, "g-1", &parent, Some(ago(HOUR)));
    corrected["revision"] = json!(1);
    assert_eq!(yima.event(&civil, &corrected), "accepted");
    assert_eq!(guardian.problem("/v1/code"), refused());
    corrected["revision"] = json!(2);
    corrected["data"]["until"] = Value::Null;
    assert_eq!(yima.event(&civil, &corrected), "accepted");
    guardian.get("/v1/code");
    let taken_back = json!({"event_id": "g-1", "why": "custody changed"});
    assert_eq!(yima.event(&civil, &child.event("r-1", "retraction", &ago(HOUR), taken_back)), "accepted");
    assert_eq!(guardian.problem("/v1/code"), refused());
    assert_eq!(Citizen::new(&yima, &parent).get("/v1/wards")["wards"], json!([]));

    // As a file: the columns of the agencies' guide.
    let file = format!(
        "id,kind,document_type,document_number,occurred_at,guardian_document_type,guardian_document_number,until\n\
         g-2,guardianship,cn_resident_id,{},{},cn_resident_id,{},{until}\n",
        child.document,
        ago(HOUR),
        parent.document
    );
    let answer = yima.push(&civil, "text/csv", file.as_bytes()).rows();
    assert_eq!(answer[0]["status"], "accepted", "{answer:?}");
    guardian.get("/v1/display");
    assert_eq!(guardian.send("DELETE", &format!("/v1/wards/{}", "x"), None).0, 400, "for oneself alone");
    let own = Citizen::new(&yima, &parent);
    let listed = own.get("/v1/wards")["wards"][0].clone();
    let path = format!("/v1/wards/{}", listed["ward"].as_str().expect("a handle"));
    assert_eq!(own.send("DELETE", &path, None).0, 204, "a guardian may give up what an agency has stated");
    assert_eq!(guardian.problem("/v1/display"), refused());
    assert_eq!(yima.event(&civil, &stated), "duplicate");
    assert_eq!(guardian.problem("/v1/display"), refused(), "what was sent before does not bring it back");
}
