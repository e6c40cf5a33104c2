import manifest from '../package.json' with { type: 'json' };

/** The version of package.json, as /health and the API description show it. */
export const VERSION: string = manifest.version;
