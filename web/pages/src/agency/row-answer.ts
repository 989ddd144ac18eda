/** The service's answers to the rows of a request. */
import type { Problem } from "../shared/types.ts";
import { countLineBreaks, type Row } from "./csv.ts";

export const ROW_STATUSES = ["accepted", "duplicate", "ignored", "rejected"] as const;
export type RowStatus = (typeof ROW_STATUSES)[number];

/** The service's answer to one row, or to the one event of a request. */
export interface RowAnswer {
  /** The line of the request on which the row starts, from 1. */
  row: number;
  id: string | null;
  status: RowStatus;
  reason?: string;
  problem?: Problem;
}

/** The answers do not match the rows that were sent, so the outcome of each row is unknown. */
export class AnswerMismatchError extends Error {}

/** Pairs each row with its answer, by the line on which the row starts; the first row is on `line`. */
export function matchAnswers<R extends Row>(rows: R[], line: number, text: string): [R, RowAnswer][] {
  const answers = new Map(text.trimEnd().split("\n").map(parseAnswer).map((answer) => [answer.row, answer]));
  if (answers.size !== rows.length) throw new AnswerMismatchError();
  return rows.map((row): [R, RowAnswer] => {
    const answer = answers.get(line);
    if (!answer) throw new AnswerMismatchError();
    line += countLineBreaks(row.text) + 1;
    return [row, answer];
  });
}

function parseAnswer(line: string): RowAnswer {
  try {
    return JSON.parse(line) as RowAnswer;
  } catch (cause) {
    throw new AnswerMismatchError("an answer that is not JSON", { cause });
  }
}
