/** Which MR sequence an image is, by the network and by the words of its header: `tumorlens/inference/sequence.py`. */
import { argmax } from "./postprocessing";
import type { SequenceAnswer } from "./types";

/** In the order of the network's output. */
const SEQUENCES = ["T1", "T1CE", "T2", "FLAIR", "other"];
/** Probability from which the network's word on the sequence is relied on. */
const KNOWN_FROM = 0.8;
const CONTRAST = /\+\s?c\b|\bc\+|\bce\b|t1ce|t1c\b|t1gd|\bgd\b|gado|\bkm\b|\bpost\b(?![- ]?op)|contrast|enhanced/i;
const WITHOUT = /\bpre\b|without|\bw\/o\b|\bohne\b|\bsans\b|\bnon[- ]?contrast|unenhanced|-c\b/i;
/** What is stated as the contrast agent where there was none. */
const NO_AGENT = /^\W*(?:0+|(?:no|none|nil|n|without|w\/o|ohne|sans)\b.*)?\W*$/is;
/** Without and with contrast: the later images have it. */
const BOTH = /(?:\b(?:and|und|et)\b|[&+/])\s*(?:with|w|mit|avec)\b|\b(?:with|w|mit|avec)\s*(?:\b(?:and|und|et)\b|[&+/])\s*(?:without|wo\b|w\/o|ohne|sans)/i;
const FLAIR = /flair|dark[- _]?fluid|tirm/i;
const T1 = /(?<![a-z0-9])t1(?![0-9])|mp2?rage|bravo|spgr|t1w/i;
const T2 = /(?<![a-z0-9])t2(?![0-9*])|t2w/i;
const T2_STAR = /t2\*|t2[-_ ]?star|swi|swan/i;

/** Null where the words are not plain. */
export function sequenceOfWords(description: string, sequenceName: string, contrastAgent: string): string | null {
  const words = [description, sequenceName].filter(Boolean).join(" ").replaceAll("_", " ");
  if (T2_STAR.test(words)) return "other";
  if (FLAIR.test(words)) return "FLAIR";
  if (T1.test(words) === T2.test(words)) return null;
  if (T2.test(words)) return "T2";
  const hasContrast = !NO_AGENT.test(contrastAgent) || CONTRAST.test(words);
  const isWithout = WITHOUT.test(words) && !BOTH.test(words);
  return hasContrast && !isWithout ? "T1CE" : "T1";
}

/** What the network takes an image, or several together, for, from its shares of the sequences; at least one. */
export function predictedSequence(probabilities: number[][]): SequenceAnswer {
  const mean = SEQUENCES.map((_, index) => probabilities.reduce((sum, row) => sum + row[index], 0) / probabilities.length);
  const best = argmax(mean);
  return { name: SEQUENCES[best], probability: mean[best] };
}

/** The sequence to rely on; null where network and header contradict each other. */
export function knownSequence(predicted: SequenceAnswer | null, stated: string | null): string | null {
  if (predicted === null || predicted.probability < KNOWN_FROM) return stated;
  return stated === null || stated === predicted.name ? predicted.name : null;
}

/** A note where network and header say different things; none where they do not. */
export function contradiction(predicted: SequenceAnswer | null, stated: string | null): string[] {
  if (predicted === null || stated === null || predicted.probability < KNOWN_FROM || predicted.name === stated) return [];
  return [`the header says ${stated}, the image looks like ${predicted.name}`];
}
