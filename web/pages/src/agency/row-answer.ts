/** The service's answers to the rows of a request. */
import type { RefusedError } from "../shared/api.ts";
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

/** A refusal of a whole request, in the service's words if it sent any. */
export function refusalText({ problem, status }: RefusedError): string {
  return problem === null ? `HTTP ${status}` : problemText(problem);
}

/** Each invalid field with the value that was expected there; without fields, the problem's detail. */
export function problemText(problem: Problem): string {
  const fields = problem.errors?.map(({ pointer, detail }) => (pointer === "" ? detail : `${pointer}: ${detail}`));
  return fields?.length ? fields.join("; ") : (problem.detail ?? problem.title);
}

/** Pairs each row with its answer, by the line on which the row starts; the first row is on `line`. */
export function matchAnswers(rows: Row[], line: number, text: string): [Row, RowAnswer][] {
  const answers = new Map(text.trimEnd().split("\n").map(parseAnswer).map((answer) => [answer.row, answer]));
  if (answers.size !== rows.length) throw new AnswerMismatchError();
  return rows.map((row) => {
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
