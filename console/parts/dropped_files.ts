/**
 * Files of what was dropped on the page, folders and what is in them included.
 *
 * In: a drop. Out: files, at most as many as the worker reads. Browsers give folders only entry by entry.
 */

import { MAX_PAGE_FILES } from "../../shared/limits.ts";

export async function droppedFiles(transfer: DataTransfer | null): Promise<readonly File[]> {
  if (transfer === null) return [];
  // The list is gone once this turn ends: entries are taken first.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry());
  const plain = [...transfer.files];
  const files: File[] = [];
  for (const [i, entry] of entries.entries()) {
    if (entry === null) continue;
    if (entry.isFile && plain[i] !== undefined) files.push(plain[i]!);
    else await collect(entry, files);
  }
  return files.length > 0 ? files : plain;
}

async function collect(entry: FileSystemEntry, into: File[]): Promise<void> {
  if (into.length >= MAX_PAGE_FILES) return;
  if (entry.isFile) {
    into.push(await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)));
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return;
    for (const each of some) await collect(each, into);
  }
}
