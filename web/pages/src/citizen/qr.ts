import encodeQR from "qr";
import { svg } from "../shared/dom.ts";

/** Dark on white whatever the theme, with the four modules of quiet zone that the standard asks for. */
export function qrCode(text: string): SVGElement {
  const rows = encodeQR(text, "raw", { ecc: "low", border: 4 });
  let path = "";
  rows.forEach((row, y) => {
    for (let x = 0; x < row.length; x++) {
      if (!row[x]) continue;
      const from = x;
      while (row[x + 1]) x++;
      path += `M${from} ${y}h${x - from + 1}v1h-${x - from + 1}z`;
    }
  });
  const size = String(rows.length);
  return svg(
    "svg",
    { viewBox: `0 0 ${size} ${size}`, "shape-rendering": "crispEdges", "aria-hidden": "true", focusable: "false" },
    svg("rect", { width: size, height: size, fill: "#fff" }),
    svg("path", { d: path, fill: "#000" }),
  );
}
