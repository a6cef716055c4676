import { render } from "preact";
import { App } from "./app";
import "./styles/main.css";
import "./styles/search.css";
import "./styles/cluster.css";

const root = document.getElementById("app");
if (root) render(<App />, root);
