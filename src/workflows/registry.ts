import { nearest } from '../nearest.ts';
import type { WorkflowDefinition } from './workflow.ts';

/** The workflows that this process knows, and the organizations they may run for. */
export class Workflows {
  readonly names: readonly string[];
  /** Connected organizations; null when any may be named. */
  readonly organizations: readonly string[] | null;
  readonly #definitions: Map<string, WorkflowDefinition>;

  constructor(definitions: readonly WorkflowDefinition[], organizations: readonly string[] | null = null) {
    this.#definitions = new Map(definitions.map((definition) => [definition.name, definition]));
    if (this.#definitions.size < definitions.length) throw new Error('two workflows have the same name');
    this.names = [...this.#definitions.keys()];
    this.organizations = organizations;
  }

  find(name: string): WorkflowDefinition | undefined {
    return this.#definitions.get(name);
  }

  /** Why a name is not one, and what was perhaps meant. */
  unknown(name: string): string {
    const meant = nearest(name, this.names, ({ length }) => Math.ceil(length / 3));
    const known = this.names.length > 0 ? `They are ${this.names.join(', ')}.` : 'No workflow is set up.';
    return `There is no workflow of this name.${meant ? ` Did you mean ${meant}?` : ''} ${known}`;
  }
}
