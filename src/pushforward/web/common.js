"use strict";
// Names and labels come from other people: they reach the page as text nodes and attributes only, never as HTML.

const token = new URLSearchParams(location.search).get("token") || "";

const $ = (id) => document.getElementById(id);

function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

async function send(question, body) {
  const answer = await fetch(`api/${question}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Token": token },
    body: JSON.stringify(body),
  }).catch(() => {
    throw new Error("the server does not answer; start the command again");
  });
  if (!answer.ok) throw new Error((await answer.json()).error);
  return answer;
}

const ask = async (question, body = {}) => (await send(question, body)).json();

function sentence(text) {
  const trimmed = text.trim();
  return trimmed && trimmed[0].toUpperCase() + trimmed.slice(1) + (/[.!?]$/.test(trimmed) ? "" : ".");
}
