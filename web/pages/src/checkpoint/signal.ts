import type { Outcome } from "./scanner.ts";

type Heard = "pass" | "check" | "stop" | "unchecked";

/** [Hz, seconds] one after the other, 0 Hz is a pause: one high note passes, two are a question, a low buzz stops. */
const NOTES: Record<Heard, { wave: OscillatorType; notes: readonly (readonly [number, number])[] }> = {
  pass: { wave: "sine", notes: [[1_320, 0.15]] },
  check: { wave: "triangle", notes: [[740, 0.14], [0, 0.08], [740, 0.14]] },
  stop: { wave: "square", notes: [[220, 0.3], [0, 0.1], [220, 0.3], [0, 0.1], [220, 0.3]] },
  unchecked: { wave: "sine", notes: [[440, 0.12], [330, 0.2]] },
};

/** Milliseconds on, off, on … */
const PULSES: Record<Heard, number[]> = {
  pass: [60],
  check: [90, 90, 90],
  stop: [350, 100, 350, 100, 350],
  unchecked: [40, 60, 40],
};

const LOUDNESS = 0.4;

/** Tells an outcome to a guard who looks at the person. Phones vibrate where they can, also when muted. */
export class Signal {
  muted = false;
  #audio: AudioContext | undefined;

  /** Browsers allow sound only after somebody touched the page: to be called then. */
  wake(): void {
    if (!("AudioContext" in window)) return;
    this.#audio ??= new AudioContext();
    if (this.#audio.state !== "running") void this.#audio.resume().catch(() => undefined);
  }

  give(outcome: Outcome): void {
    if (outcome.kind !== "scan" && outcome.kind !== "unchecked") return;
    const heard = outcome.kind === "scan" ? outcome.scan.verdict : "unchecked";
    if ("vibrate" in navigator) navigator.vibrate(PULSES[heard]);
    if (!this.muted && this.#audio?.state === "running") play(this.#audio, NOTES[heard]);
  }
}

function play(audio: AudioContext, { wave, notes }: (typeof NOTES)[Heard]): void {
  let at = audio.currentTime;
  for (const [hz, seconds] of notes) {
    if (hz > 0) note(audio, wave, hz, at, at + seconds);
    at += seconds;
  }
}

function note(audio: AudioContext, wave: OscillatorType, hz: number, from: number, to: number): void {
  const tone = new OscillatorNode(audio, { type: wave, frequency: hz });
  const gain = new GainNode(audio, { gain: 0 });
  // Faded in and out, or each end would click.
  gain.gain.setTargetAtTime(LOUDNESS, from, 0.005);
  gain.gain.setTargetAtTime(0, to - 0.02, 0.005);
  tone.connect(gain).connect(audio.destination);
  tone.start(from);
  tone.stop(to);
}
