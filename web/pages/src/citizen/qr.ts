/** The QR code as an image. */
import encodeQR from "qr";
import { svg } from "../shared/dom.ts";

/** Dark on white in every theme, with the quiet zone of four modules that ISO/IEC 18004 requires. */
export function qrCode(text: string): SVGElement {
  const rows = encodeQR(text, "raw", { ecc: "low", border: 4 });
  let path = "";
  rows.forEach((row, y) => {
    for (let x = 0; x < row.length; x++) {
      if (!row[x]) continue;
      const start = x;
      while (row[x + 1]) x++;
      path += `M${start} ${y}h${x - start + 1}v1h-${x - start + 1}z`;
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
