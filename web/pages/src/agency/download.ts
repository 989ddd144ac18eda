/** Files that the page offers for download. */
import { safeRecord } from "./csv.ts";
import { loadXlsx, type ParsedFile } from "./parse-file.ts";

export type TableExtension = "csv" | "xlsx";

/** Rows of a workbook come back as a workbook: Excel takes the last digits from long numbers in CSV. */
export function tableExtension({ sheet }: ParsedFile): TableExtension {
  return sheet === null ? "csv" : "xlsx";
}

/** Saves the first of the sheets as CSV, or all of them as a workbook. */
export async function saveTable(
  name: string,
  extension: TableExtension,
  sheets: { name: string; rows: string[][] }[],
): Promise<void> {
  const xlsx = extension === "xlsx" ? await loadXlsx() : null;
  if (xlsx !== null) return save(`${name}.xlsx`, xlsx.writeWorkbook(sheets));
  // Spreadsheets recognize UTF-8 by its byte order mark.
  save(`${name}.csv`, `\uFEFF${sheets[0]!.rows.map(safeRecord).join("\n")}\n`);
}

export function save(name: string, content: string | Uint8Array<ArrayBuffer>): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href));
}
