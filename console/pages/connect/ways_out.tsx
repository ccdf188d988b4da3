/** What to do where a browser cannot connect to a node: three ways. */

import { CopyButton } from "../../parts/copy.tsx";
import { relayCommand } from "./reach.ts";

export function WaysOut({ url }: { readonly url: string }) {
  const command = relayCommand(url);
  const settings =
    '"rpc_interfaces": { "public_rpc_interface": { "bind_address": "0.0.0.0:443", "client_certificates": false, … } }';
  return (
    <div class="stack" data-state="ways-out">
      <h3>Three ways out</h3>
      <ol class="ways-out">
        <li>
          <strong>The relay.</strong>{" "}
          It runs on your computer, reaches the node, sees its certificate and compares it with the service's, and says
          which of name, connection, TLS and HTTP is the reason:
          <span class="row">
            <code class="anywhere">{command}</code>
            <CopyButton text={command} what="the command that starts the relay" />
          </span>
        </li>
        <li>
          <strong>An interface with a public certificate.</strong>{" "}
          The operator gives the node one that browsers know, in front of an interface without client certificates:
          <span class="row">
            <code class="anywhere">{settings}</code>
          </span>
          Such a certificate says who runs the machine, and nothing of the service: the page still checks all the rest.
        </li>
        <li>
          <strong>Ledger files.</strong>{" "}
          Ask the operator for the ledger's files, and open them here. All but the newest state can be checked from
          them.
        </li>
      </ol>
    </div>
  );
}
