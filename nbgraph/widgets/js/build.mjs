// Bundles all widgets into ../static/widgets.js and ../static/widgets.css.
import { build } from "esbuild";

await build({
  entryPoints: { widgets: "index.ts" },
  outdir: "../static",
  bundle: true,
  format: "esm",
  minify: true,
  target: "es2022",
  jsx: "automatic",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  logLevel: "warning",
});
