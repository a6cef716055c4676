// The steps of a search, and in which of them each phase of an active one is.

export const STEPS = ["preparing", "warming_up", "configuring", "staging_db", "submitting", "running", "exporting"];

/** The place of a phase's step among the steps; not of those in which a search waits or is being cancelled. */
export const STEP_OF: Record<string, number> = {
  preparing: 0,
  warming_up: 1,
  configuring: 2,
  staging_db: 3,
  submitting: 4,
  creating: 4,
  submitted: 4,
  running: 5,
  results_pending: 6,
  exporting: 6,
};
