/** The list of the person's phones, of which each other one can be ended. */
import { byId, make, setText } from "../shared/dom.ts";
import { date } from "../shared/time.ts";
import type { Phone, Phones } from "../shared/types.ts";
import { endPhone, listPhones } from "./phones.ts";
import type { Presenter } from "./presenter.ts";
import { t, type CitizenWord } from "./text.ts";

/** Whose phones are listed. */
export interface Holder {
  presenter: Presenter;
  /** The id of this phone; null if it has no keys. */
  phone: string | null;
}

let phones: Phones | null = null;
let note: CitizenWord | null = null;
/** The phone whose end was asked for once. */
let asked: string | null = null;
let current: () => Holder | null = () => null;
/** Raised by each request and sign-out: an answer to an earlier request is not drawn. */
let latest = 0;

/** Requests the list only when its section is opened. */
export function setUpPhoneList(holder: () => Holder | null): void {
  current = holder;
  byId("phones").addEventListener("toggle", () => void refresh());
}

/** Opens the list, such as when there are too many phones. */
export function openPhoneList(): void {
  const section = byId<HTMLDetailsElement>("phones");
  if (section.open) void refresh();
  else section.open = true;
  section.scrollIntoView({ block: "center" });
}

export function clearPhoneList(): void {
  latest += 1;
  phones = note = asked = null;
  byId<HTMLDetailsElement>("phones").open = false;
  drawPhoneList();
}

export function drawPhoneList(): void {
  byId("phone-list").replaceChildren(...(phones?.phones ?? []).map(line));
  setText(byId("phones-note"), note ? t(note) : phones ? t("phones_of_most", phones.most) : t("waiting"));
}

async function refresh(): Promise<void> {
  const holder = current();
  if (!holder || !byId<HTMLDetailsElement>("phones").open) return;
  await show(listPhones(holder.presenter), "phones_unread");
}

async function show(answer: Promise<Phones>, failed: CitizenWord): Promise<void> {
  const number = ++latest;
  const read = await answer.catch(() => null);
  if (number !== latest) return;
  phones = read ?? phones;
  note = read === null ? failed : null;
  asked = null;
  drawPhoneList();
}

function line(phone: Phone): Node {
  const holder = current();
  const isHere = phone.id === holder?.phone;
  const since = make("small", "quiet", t("phone_since", date(phone.started_at)));
  const name = make("bdi", "", phone.name);
  name.id = `phone-${phone.id}`;
  const item = make("li", "", make("span", "who", name, since));
  if (isHere) item.append(make("span", "quiet", t("phone_here")));
  else item.append(endButton(phone));
  return item;
}

/** The first click asks, the second one ends the phone. */
function endButton({ id }: Phone): Node {
  const button = make("button", "plain", t(asked === id ? "phone_end_sure" : "phone_end"));
  button.type = "button";
  button.dataset["end"] = id;
  button.setAttribute("aria-describedby", `phone-${id}`);
  button.addEventListener("click", () => {
    const holder = current();
    if (!holder) return;
    if (asked !== id) {
      asked = id;
      drawPhoneList();
      return byId("phone-list").querySelector<HTMLElement>(`[data-end="${id}"]`)?.focus();
    }
    button.disabled = true;
    const others = { ...phones!, phones: phones!.phones.filter((other) => other.id !== id) };
    void show(endPhone(holder.presenter, id).then(() => others), "phone_end_failed");
  });
  return button;
}
