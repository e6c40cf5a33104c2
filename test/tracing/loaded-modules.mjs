// Preloaded into a process of a test: appends the address of every module that it loads to a file.
import { appendFileSync } from 'node:fs';
import { registerHooks } from 'node:module';

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    appendFileSync(process.env.LOADED_MODULES, `${found.url}\n`);
    return found;
  },
});
