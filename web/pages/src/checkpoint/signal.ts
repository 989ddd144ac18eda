/** Sounds and vibration for each outcome. */
import type { Verdict } from "../shared/types.ts";
import type { Outcome } from "./scanner.ts";

/** The outcomes that a guard hears. */
export type SignalKind = Verdict | "unchecked";

/** [Hz, seconds] in sequence; 0 Hz is a pause. One high note: pass; two notes: check; a low buzz: stop. */
const NOTES: Record<SignalKind, { wave: OscillatorType; notes: readonly (readonly [number, number])[] }> = {
  pass: { wave: "sine", notes: [[1_320, 0.15]] },
  check: { wave: "triangle", notes: [[740, 0.14], [0, 0.08], [740, 0.14]] },
  stop: { wave: "square", notes: [[220, 0.3], [0, 0.1], [220, 0.3], [0, 0.1], [220, 0.3]] },
  unchecked: { wave: "sine", notes: [[440, 0.12], [330, 0.2]] },
};

/** Vibration: milliseconds on, off, on … */
const PULSES: Record<SignalKind, number[]> = {
  pass: [60],
  check: [90, 90, 90],
  stop: [350, 100, 350, 100, 350],
  unchecked: [40, 60, 40],
};

const GAIN = 0.4;

/** For a guard who watches the person, not the screen. Phones that can vibrate do so even when muted. */
export class Signal {
  muted = false;
  #audio: AudioContext | undefined;

  /** To be called at each touch of the page: browsers allow sound only after one. */
  enableAudio(): void {
    if (!("AudioContext" in window)) return;
    this.#audio ??= new AudioContext();
    if (this.#audio.state !== "running") void this.#audio.resume().catch(() => undefined);
  }

  play(outcome: Outcome): void {
    if (outcome.kind !== "scan" && outcome.kind !== "unchecked") return;
    const kind = outcome.kind === "scan" ? outcome.scan.verdict : "unchecked";
    if ("vibrate" in navigator) navigator.vibrate(PULSES[kind]);
    if (!this.muted && this.#audio?.state === "running") playNotes(this.#audio, NOTES[kind]);
  }
}

function playNotes(audio: AudioContext, { wave, notes }: (typeof NOTES)[SignalKind]): void {
  let at = audio.currentTime;
  for (const [hz, seconds] of notes) {
    if (hz > 0) playNote(audio, wave, hz, at, at + seconds);
    at += seconds;
  }
}

function playNote(audio: AudioContext, wave: OscillatorType, hz: number, from: number, to: number): void {
  const tone = new OscillatorNode(audio, { type: wave, frequency: hz });
  const gain = new GainNode(audio, { gain: 0 });
  // Faded in and out: an abrupt end would click.
  gain.gain.setTargetAtTime(GAIN, from, 0.005);
  gain.gain.setTargetAtTime(0, to - 0.02, 0.005);
  tone.connect(gain).connect(audio.destination);
  tone.start(from);
  tone.stop(to);
}
