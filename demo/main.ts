/** `npm run demo`: sends samples to a running `npm start`; with `--pull` it shows a pull and a reconciliation instead. */
const [first] = process.argv.slice(2);
await import(first === '--pull' ? './pull.ts' : './send.ts');
