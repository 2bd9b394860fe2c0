// How does a child process answer? It does the tasks it is asked for, and ends with its parent.
import type { Answer, Question, Tasks } from './child.js';

const sets = new Map<number, Promise<Tasks>>();

async function tasksOf({ set, module }: Question): Promise<Tasks> {
  let tasks = sets.get(set);
  if (tasks === undefined) {
    tasks = import(module).then((loaded: { tasks: () => Tasks }) => loaded.tasks());
    sets.set(set, tasks);
  }
  return tasks;
}

async function answer(question: Question): Promise<Answer> {
  const { id, task, input } = question;
  try {
    const tasks = await tasksOf(question);
    return { id, value: await tasks[task]!(input as never) };
  } catch (error) {
    return { id, error: error instanceof Error ? error.message : String(error) };
  }
}

process.on('disconnect', () => process.exit());
process.on('message', async (question: Question) => process.send!(await answer(question)));
