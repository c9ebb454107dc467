/** What the element of a label says beside the words of the label and those that all elements share. */

const en = {
  yes: "Yes",
  no: "No",
  nothing: "Nothing is written yet.",
  nothingHint: "Write an answer, then send it.",
  offScale: "That is not on the scale.",
  offScaleHint: "Give a number from {min} to {max}.",
  offStepHint: "Give a number from {min} to {max}, in steps of {step}.",
  cannotAsk: "This question cannot be asked here.",
  cannotAskHint: "Set the element's label to one of kind bool, choice, multi, rating or text, about an interaction or one reply.",
};

export type QuestionWord = keyof typeof en;

const zhHans: Record<QuestionWord, string> = {
  yes: "是",
  no: "否",
  nothing: "还没有填写。",
  nothingHint: "请先填写，再提交。",
  offScale: "这个数不在范围内。",
  offScaleHint: "请填写 {min} 到 {max} 之间的数。",
  offStepHint: "请填写 {min} 到 {max} 之间、间隔为 {step} 的数。",
  cannotAsk: "这个问题不能在这里问。",
  cannotAskHint: "元素的 label 须为 bool、choice、multi、rating 或 text，并且针对整轮交互或一条回复。",
};

export const QUESTION_WORDS: Record<"en" | "zh-Hans", Record<QuestionWord, string>> = { en, "zh-Hans": zhHans };
