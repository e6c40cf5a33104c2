/** An authentic delivery that cannot be processed; the message says why and what to do, for the operator. */
export class Unusable extends Error {}
