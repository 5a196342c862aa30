// Writes the page into the Python package: node build.mjs
import { build } from "esbuild";
import { copyFileSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "src", "tumorlens", "server", "static");
const runtime = join(here, "node_modules", "onnxruntime-web", "dist");

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "examples"), { recursive: true });

await build({
  entryPoints: { main: join(here, "src/main.ts"), worker: join(here, "src/worker.ts") },
  outdir: out,
  bundle: true,
  format: "esm",
  splitting: true,
  minify: true,
  target: "es2022",
  chunkNames: "chunk-[hash]",
  legalComments: "none",
  alias: { "onnxruntime-web": join(runtime, "ort.wasm.bundle.min.mjs") },
  logLevel: "info",
});

for (const name of readdirSync(join(here, "public"))) {
  if (name !== "examples") copyFileSync(join(here, "public", name), join(out, name));
}
for (const name of readdirSync(join(here, "public", "examples"))) {
  copyFileSync(join(here, "public", "examples", name), join(out, "examples", name));
}
// The runtime is 14 MB of WebAssembly; compressed, as it is kept and sent, it is a quarter of that.
// Compressing without a time stamp gives the same bytes each time.
const name = "ort-wasm-simd-threaded.wasm";
writeFileSync(join(out, `${name}.gz`), gzipSync(readFileSync(join(runtime, name)), { level: 9 }));
writeFileSync(join(out, "licences.txt"), licences());

function licences() {
  const used = ["@zip.js/zip.js", "dicom-parser", "fast-png", "fflate", "iobuffer", "nifti-reader-js",
    "onnxruntime-web", "onnxruntime-common"];
  const texts = used.map((name) => {
    const folder = join(here, "node_modules", name);
    const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? readFileSync(join(folder, file), "utf8") : `${about.license} licence`;
    return `${name} ${about.version} (${about.license})\n\n${text.trim()}\n`;
  });
  return `This page contains these libraries.\n\n${texts.join("\n---\n\n")}`;
}
