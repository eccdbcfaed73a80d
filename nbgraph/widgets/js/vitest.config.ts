import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["**/*.test.ts", "**/*.test.tsx"],
    exclude: ["node_modules", "**/fake.test.ts"],
    css: false,
    // On a busy machine the first test of a file loads its modules for longer than the usual five seconds.
    testTimeout: 60_000,
  },
});
