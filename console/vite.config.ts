import { defineConfig } from "vite";

// One script and one style sheet with fixed names: the gateway embeds them, and index.html names them.
export default defineConfig({
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: {
    outDir: "../internal/httpapi/console",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: false,
    rollupOptions: {
      input: "src/main.tsx",
      output: { entryFileNames: "console.js", assetFileNames: "console[extname]", inlineDynamicImports: true },
    },
  },
});
