// Opens a data directory and keeps it until its input ends; prints `open`, or why it cannot.
import { DataDirectory } from '../../src/storage/data-directory.ts';

try {
  const directory = await DataDirectory.open(process.argv[2]!, { beat: 20, patience: 500 });
  console.log('open');
  process.stdin.resume().on('end', () => void directory.close().then(() => process.exit(0)));
} catch (error) {
  console.log((error as Error).message);
}
