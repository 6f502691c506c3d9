import { Modal } from "./modal.tsx";
import { cancelQuestion } from "./state/cancelling.ts";
import { cancelJob } from "./state/jobs.ts";

export function CancelDialog() {
  const job = cancelQuestion.value;
  if (job === null || job.state.value !== "running") return null;
  const close = () => {
    cancelQuestion.value = null;
  };
  return (
    <Modal title={`Stop converting to ${job.request.name}?`} close={close}>
      <p>What has been written so far is removed. Your source stays as it is.</p>
      <div class="actions">
        <button
          type="button"
          class="primary"
          onClick={() => {
            close();
            void cancelJob(job);
          }}
        >
          Stop and remove the partial file
        </button>
        <button type="button" onClick={close}>
          Go on
        </button>
      </div>
    </Modal>
  );
}
