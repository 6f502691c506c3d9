import { reloadToLock } from "../platform/window/service-worker.ts";
import { Modal } from "./modal.tsx";
import { working } from "./state/jobs.ts";
import { type LockState, networkLock, testLock } from "./state/network-lock.ts";
import { panel } from "./state/panels.ts";

const MEANING: Readonly<Record<LockState, string>> = {
  checking: "The attempts are being made.",
  reload: "This page was loaded before its lock was ready. Reload once, and the browser will block the network for it.",
  on: "Fetch, XHR, WebSocket, beacons, images and forms to any server are blocked by the browser. These attempts were just refused:",
  off: "An attempt was not refused, so nothing is claimed. The page still sends nothing by itself; check with your browser's tools.",
};

/** Shows what was tried and how the browser refused it, the policy in force, and how anyone can check. */
export function LockPanel() {
  const { state, attempts, policies } = networkLock.value;
  return (
    <Modal
      title="Network lock"
      close={() => {
        panel.value = null;
      }}
    >
      <p>{MEANING[state]}</p>
      {state === "reload" && (
        <button type="button" class="primary" disabled={working.value} onClick={reloadToLock}>
          {working.value ? "Reload when the conversion is done" : "Reload"}
        </button>
      )}
      {attempts.length > 0 && (
        <table>
          <thead>
            <tr>
              <th scope="col">Where</th>
              <th scope="col">Tried</th>
              <th scope="col">What happened</th>
            </tr>
          </thead>
          <tbody>
            {attempts.map((attempt) => (
              <tr key={attempt.where + attempt.how}>
                <td>{attempt.where}</td>
                <td>{attempt.how}</td>
                <td>{attempt.refusal ?? "not refused"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <p class="hint">The attempts aim at this page's own address, so that nothing would leave even if the lock failed.</p>
      {policies.length > 0 && (
        <>
          <h3>Policy in force, as the browser reports it</h3>
          {policies.map((policy) => (
            <pre key={policy}>{policy}</pre>
          ))}
        </>
      )}
      <h3>Check it yourself</h3>
      <ul>
        <li>Open the developer tools (F12), tab Network, and convert something: no request appears.</li>
        <li>
          In the tab Console, enter <code>fetch("https://example.com")</code>: the browser refuses and names the policy.
        </li>
        <li>Turn Wi-Fi off and go on: everything works.</li>
      </ul>
      <p class="hint">
        Not covered by such a policy: following a link by hand, and WebRTC, which this page does not use. Read the source to be sure of
        that.
      </p>
      <div class="actions">
        <button type="button" disabled={state === "checking"} onClick={() => testLock()}>
          Try again
        </button>
      </div>
    </Modal>
  );
}
