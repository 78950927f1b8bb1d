// Passkeys: asks the browser to create or use one, and sends its answer with the form.
"use strict";
(() => {
  const toOctets = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const toText = (octets) => btoa(String.fromCharCode(...new Uint8Array(octets))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const status = (text) => { document.getElementById("status").textContent = text; };
  const PARTS = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];

  const write = (credential) => {
    const response = {};
    PARTS.filter((name) => credential.response[name]).forEach((name) => { response[name] = toText(credential.response[name]); });
    const id = toText(credential.rawId);
    return JSON.stringify({ id, rawId: id, type: credential.type, response });
  };
  const create = async (form) => {
    const options = JSON.parse(form.dataset.options);
    options.challenge = toOctets(options.challenge);
    options.user.id = toOctets(options.user.id);
    options.excludeCredentials.forEach((each) => { each.id = toOctets(each.id); });
    return navigator.credentials.create({ publicKey: options });
  };
  const get = async () => {
    const answer = await fetch("/console/sign-in/challenge", { method: "POST" });
    if (!answer.ok) throw new Error("The hub did not answer. Try again in a moment.");
    const options = await answer.json();
    options.challenge = toOctets(options.challenge);
    return navigator.credentials.get({ publicKey: options });
  };
  const explain = (error) => {
    if (error.name === "InvalidStateError") return "This device has a passkey for you already.";
    if (error.name === "NotAllowedError") return "No passkey was used: it was cancelled, took too long, or there is none for this hub.";
    return error.name === "Error" ? error.message : `The browser could not use a passkey (${error.name}).`;
  };

  document.querySelectorAll("form[data-passkey]").forEach((form) => {
    const button = form.querySelector("[data-passkey-use]");
    if (form.dataset.origin !== location.origin) {
      button.disabled = true;
      if (!button.hidden) status(`Passkeys work at ${form.dataset.origin}: open the console there.`);
      return;
    }
    if (!window.PublicKeyCredential) {
      button.disabled = true;
      if (!button.hidden) status("This browser knows no passkeys.");
      return;
    }
    button.hidden = false;
    button.addEventListener("click", async () => {
      button.disabled = true;
      status("Follow your browser.");
      try {
        const credential = await (form.dataset.passkey === "create" ? create(form) : get());
        form.querySelector("[name=passkey]").value = write(credential);
        form.submit();
      } catch (error) {
        status(explain(error));
        button.disabled = false;
      }
    });
  });
})();
