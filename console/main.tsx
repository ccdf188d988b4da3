/** Starts the page. */

import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/shell.css";
import { render } from "preact";
import { fragment } from "./routes.ts";
import { reconnect, watchPins } from "./service/session.ts";
import { applySettings } from "./service/settings.ts";
import { App } from "./shell/app.tsx";

addEventListener("hashchange", () => fragment.value = location.hash);
fragment.value = location.hash;
applySettings();
watchPins();
reconnect();
render(<App />, document.getElementById("app")!);
