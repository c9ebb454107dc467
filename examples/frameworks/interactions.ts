/** What the elements show here. In a product it comes from your backend: the JSON of `POST /v1/candidates`, or a chat completion. */

export const answer = {
  interaction_id: "example-answer",
  candidates: [{ candidate_id: "a1", content: "Your parcel left our warehouse on Monday and arrives tomorrow." }],
};

export const pair = {
  interaction_id: "example-pair",
  candidates: [
    { candidate_id: "p1", content: "You can return it within 30 days." },
    { candidate_id: "p2", content: "Returns are free for 30 days. The label is in your account under Orders." },
  ],
};

export const replies = {
  interaction_id: "example-replies",
  candidates: [
    { candidate_id: "r1", content: "Sorry about the damaged cup. A new one is on its way." },
    { candidate_id: "r2", content: "Please send us a picture of the damage." },
    { candidate_id: "r3", content: "We are sorry. Would you like a new cup, or your money back?" },
    { candidate_id: "r4", content: "很抱歉，杯子碎了。您想换货还是退款？" },
  ],
};
